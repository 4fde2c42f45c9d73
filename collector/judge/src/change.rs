//! What would have changed the answer, in numbers of this episode?
//!
//! ```text
//!   3 more failures in 60 s | 40 s longer | one more trusted vantage from IE | 12 fewer failures of IE
//! ```
//!
//! Each sentence names a condition of the rule that decided, and how far the episode was from it.

use uitwijk_model::{Millis, Ratio};

use crate::facts::{Facts, is_control, is_entry, is_region};
use crate::share::{Count, ONE, share, threshold};
use crate::topology::{Announced, Role};
use crate::verdict::{Cause, Need, WouldChange};
use crate::words::{Said, clock, percent, said, span};

/// Everything that would have changed it, nearest first.
pub(crate) fn would_change(f: &Facts<'_>) -> Vec<WouldChange> {
    let said = match (f.episode.need(), f.episode.cause) {
        (Need::Needed, _) => needed(f),
        (Need::Futile, Cause::GlobalFault) | (_, Cause::ChainPartner) => shared(f),
        (Need::Futile, _) => entry_only(f),
        (Need::Inconclusive, _) => shortage(f),
        (_, Cause::Transient) => vec![longer(f)],
        (_, Cause::Maintenance) => unannounced(f),
        (_, Cause::VantageFault | Cause::PathFault) => witnesses(f),
        (_, Cause::EndpointFault) => vec![heavier(f)],
        (_, Cause::SlowWithinObjective) => vec![slower(f)],
        _ => vec![worse(f)],
    };
    said.into_iter().map(Said::would_change).collect()
}

/// What would be counted in a window at the pace of the episode.
fn in_window(f: &Facts<'_>, c: Count, window: Millis) -> Count {
    let slots = u64::try_from(f.episode.to - f.episode.from).unwrap_or(1).max(1);
    let wide = u64::from(f.topology.slot.slots_in(window));
    let part = |n: u32| u32::try_from(u64::from(n) * wide / slots).unwrap_or(u32::MAX);
    Count { n: part(c.n).max(1), failed: part(c.failed), slow: part(c.slow) }
}

/// How many of so many reach a share.
fn reaching(ratio: Ratio, n: u32) -> u64 {
    (u64::from(n) * u64::from(ratio.num())).div_ceil(u64::from(ratio.den())).max(1)
}

/// `1 more failure`, `3 more failures`.
fn failures(k: u64) -> Said {
    match k {
        1 => said!("1 more failure", "1 mislukking meer"),
        _ => said!("{k} more failures", "{k} mislukkingen meer"),
    }
}

/// More failures of the public name, and for how long.
fn worse(f: &Facts<'_>) -> Said {
    let p = &f.topology.policy;
    let seen = in_window(f, f.sum(is_entry(f)), p.hard_window);
    let more = reaching(p.hard_share, seen.n).saturating_sub(u64::from(seen.failed)).max(1);
    let Said { en, nl } = failures(more);
    let (n, window, held) = (seen.n, span(p.hard_window), span(p.hard_duration));
    said!(
        "Weighed as an outage, with {en} of the public name in {window} (of {n} requests), for {held}.",
        "Gewogen als storing, met {nl} van de publieke naam in {window} (van {n} verzoeken), {held} lang."
    )
}

/// More answers over the objective.
fn slower(f: &Facts<'_>) -> Said {
    let p = &f.topology.policy;
    let seen = in_window(f, f.sum(is_entry(f)), p.soft_window);
    let answers = seen.n.saturating_sub(seen.failed).max(1);
    let more = reaching(p.slow_share, answers).saturating_sub(u64::from(seen.slow)).max(1);
    let (window, held) = (span(p.soft_window), span(p.soft_duration));
    said!(
        "Weighed as slowness, with {more} more of {answers} answers over the objective in {window}, for {held}.",
        "Gewogen als traagheid, met {more} van {answers} antwoorden meer boven de norm in {window}, {held} lang."
    )
}

/// Longer.
fn longer(f: &Facts<'_>) -> Said {
    let p = &f.topology.policy;
    let sum = f.sum(is_entry(f));
    let lasted = f.length(f.episode.to - f.episode.from).0;
    let least = f.topology.slot.millis().0;
    let missing = |held: Millis| span(Millis(held.0.saturating_sub(lasted).max(least)));
    let (seen, all) = (percent(u64::from(sum.failed), u64::from(sum.n)), sum.n);
    if sum.failed_share() >= threshold(p.hard_share) {
        let more = missing(p.hard_duration);
        return said!(
            "Weighed as an outage, had it gone on like this for {more} longer ({seen} of {all} failed).",
            "Gewogen als storing, als het zo nog {more} was doorgegaan ({seen} van {all} mislukte)."
        );
    }
    if sum.failed_share() >= threshold(p.soft_share) {
        let window = in_window(f, sum, p.hard_window);
        let Said { en, nl } =
            failures(reaching(p.hard_share, window.n).saturating_sub(u64::from(window.failed)).max(1));
        let (soft, hard, wide) = (missing(p.soft_duration), span(p.hard_duration), span(p.hard_window));
        return said!(
            "Weighed as an outage, had it gone on like this for {soft} longer, or with {en} in {wide} for {hard}.",
            "Gewogen als storing, als het zo nog {soft} was doorgegaan, of met {nl} in {wide}, {hard} lang."
        );
    }
    if sum.slow_share() >= threshold(p.slow_share) {
        let more = missing(p.soft_duration);
        let seen = percent(u64::from(sum.slow), u64::from(sum.n.saturating_sub(sum.failed)));
        return said!(
            "Weighed as slowness, had it gone on like this for {more} longer ({seen} over the objective).",
            "Gewogen als traagheid, als het zo nog {more} was doorgegaan ({seen} boven de norm)."
        );
    }
    worse(f)
}

/// An earlier end, or another region that is no better.
fn needed(f: &Facts<'_>) -> Vec<Said> {
    let mut all = Vec::new();
    let p = &f.topology.policy;
    if let Some((known, _)) = f.episode.confirmed {
        let at = clock(f.at(known + 1));
        let early = f.episode.to - (known + 1);
        let by = span(f.length(early));
        all.push(match early > 0 {
            true => said!(
                "Not needed, had it ended before {at}, {by} earlier than it did.",
                "Niet nodig, als het vóór {at} voorbij was, {by} eerder dan nu."
            ),
            false => said!("Not needed, had it ended before {at}.", "Niet nodig, als het vóór {at} voorbij was."),
        });
    }
    let Some(other) = f.other else { return all };
    let slow = f.episode.cause == Cause::RegionSlow;
    let (here, there) = (f.sum(is_region(f.episode.active)), f.sum(is_region(other)));
    let limit = limit_of_other(f, here, slow);
    let bad = ill(there, slow);
    let n = u64::from(there.n);
    let more = (limit * n).div_ceil(ONE).saturating_sub(bad).max(1);
    let (name, found) = (f.other_name(), percent(bad, n));
    let wanted = percent(bad + more, n);
    let half = p.better_share.to_string();
    let active = f.active();
    let (what, what_nl) = if slow { ("failed or been too slow", "mislukt of te traag") } else { ("failed", "mislukt") };
    all.push(said!(
        "Futile, had {more} more of the {n} requests to {name} {what} ({wanted}, not {found}): {half} of {active} or worse.",
        "Zinloos, als {more} meer van de {n} verzoeken aan {name} waren {what_nl} ({wanted}, niet {found}): {half} van \
         {active} of slechter."
    ));
    all
}

/// Failed, and slow where that counts.
fn ill(c: Count, slow: bool) -> u64 {
    u64::from(c.failed) + if slow { u64::from(c.slow) } else { 0 }
}

/// From which share on the other region is no better, in millionths.
fn limit_of_other(f: &Facts<'_>, here: Count, slow: bool) -> u64 {
    let p = &f.topology.policy;
    let a = share(ill(here, slow), u64::from(here.n));
    let half = u64::try_from(u128::from(a) * u128::from(threshold(p.better_share)) / u128::from(ONE)).unwrap_or(ONE);
    match slow {
        true => half,
        false => half.min(a.saturating_add(threshold(p.better_margin))),
    }
}

/// Another region that is better.
fn shared(f: &Facts<'_>) -> Vec<Said> {
    let Some(other) = f.other else {
        return vec![said!(
            "Needed, had there been another region that was clearly better.",
            "Nodig, als er een andere, duidelijk betere regio was geweest."
        )];
    };
    let (here, there) = (f.sum(is_region(f.episode.active)), f.sum(is_region(other)));
    let slow = here.failed_share() < threshold(f.topology.policy.soft_share);
    let (limit, bad, n) = (limit_of_other(f, here, slow), ill(there, slow), u64::from(there.n));
    let allowed = ((limit * n) / ONE).saturating_sub(u64::from((limit * n).is_multiple_of(ONE))).min(n);
    let fewer = bad.saturating_sub(allowed).max(1);
    let (name, active, found) = (f.other_name(), f.active(), percent(bad, n));
    let wanted = percent(bad.saturating_sub(fewer), n);
    let (what, what_nl) = if slow { ("failed or been too slow", "mislukt of te traag") } else { ("failed", "mislukt") };
    let better = said!(
        "Needed, had {fewer} fewer of the {n} requests to {name} {what} ({wanted}, not {found}), with {active} as it was.",
        "Nodig, als {fewer} minder van de {n} verzoeken aan {name} waren {what_nl} ({wanted}, niet {found}), met {active} \
         zoals het was."
    );
    std::iter::once(better).chain(partner(f)).collect()
}

/// A partner that was not to blame.
fn partner(f: &Facts<'_>) -> Option<Said> {
    if f.episode.cause != Cause::ChainPartner {
        return None;
    }
    let partners = f.topology.targets.iter().filter_map(|t| match &t.role {
        Role::Partner(p) => Some(p),
        _ => None,
    });
    let count = |p| f.sum(|role| matches!(role, Role::Partner(x) if x == p));
    let worst = partners.max_by_key(|p| count(*p).failed_share())?;
    let (c, references) = (count(worst), f.sum(is_control));
    let limit = references.failed_share().saturating_add(threshold(f.topology.policy.partner_margin));
    let fewer = u64::from(c.failed).saturating_sub((limit * u64::from(c.n)) / ONE).max(1);
    let (n, margin) = (c.n, f.topology.policy.partner_margin);
    Some(said!(
        "Weighed as a fault of the regions, had {worst} failed {fewer} fewer of {n}: under {margin} above the references.",
        "Gewogen als storing van de regio's, als {worst} er {fewer} minder van {n} had laten mislukken: onder {margin} boven \
         de ijkpunten."
    ))
}

/// The region itself bad.
fn entry_only(f: &Facts<'_>) -> Vec<Said> {
    let p = &f.topology.policy;
    let here = f.sum(is_region(f.episode.active));
    let more = reaching(p.soft_share, here.n).saturating_sub(u64::from(here.failed)).max(1);
    let (n, active, other) = (here.n, f.active(), f.other_name());
    let Said { en, nl } = failures(more);
    vec![said!(
        "Needed, with {en} of {active} asked directly (of {n}), and {other} clearly better.",
        "Nodig, met {nl} van {active} zelf (van {n}), en {other} duidelijk beter."
    )]
}

/// More trusted vantages, and more samples.
fn shortage(f: &Facts<'_>) -> Vec<Said> {
    let p = &f.topology.policy;
    let (_, heard) = f.witnesses(is_entry(f), false);
    let least = usize::try_from(p.vantages_min).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    let mut places: Vec<&str> =
        f.distrusted.iter().map(|(v, ..)| f.topology.agents[*v].vantage.region.as_str()).collect();
    places.sort_unstable();
    places.dedup();
    let more = least.saturating_sub(heard);
    if more > 0 {
        let (from, from_nl) = match places.is_empty() {
            true => (" in another zone".to_owned(), " in een andere zone".to_owned()),
            false => (format!(" from {}", places.join(" or ")), format!(" uit {}", places.join(" of "))),
        };
        all.push(match more {
            1 => said!(
                "An answer, with one more trusted vantage{from}.",
                "Een antwoord, met één vertrouwd meetpunt meer{from_nl}."
            ),
            _ => said!(
                "An answer, with {more} more trusted vantages{from}.",
                "Een antwoord, met {more} vertrouwde meetpunten meer{from_nl}."
            ),
        });
    }
    let sum = f.sum(is_entry(f));
    let seen = if sum.n == 0 { 0 } else { in_window(f, sum, p.hard_window).n };
    let (missing, window, wanted) = (p.samples_min.saturating_sub(seen), span(p.hard_window), p.samples_min);
    if missing > 0 || all.is_empty() {
        let missing = missing.max(1);
        all.push(said!(
            "An answer, with {missing} more measurements of the public name in {window}: it takes {wanted}, and {seen} were there.",
            "Een antwoord, met {missing} metingen van de publieke naam meer in {window}: nodig zijn er {wanted}, er waren er {seen}."
        ));
    }
    all
}

/// Trouble beyond what was announced.
fn unannounced(f: &Facts<'_>) -> Vec<Said> {
    let open = |w: &&Announced| w.excuses && w.from < f.episode.to && f.episode.from < w.to;
    let Some(w) = f.topology.windows.iter().find(open) else { return vec![worse(f)] };
    let (from, to) = (clock(f.at(w.from)), clock(f.at(w.to)));
    let (before, after) = (span(f.length(f.episode.from - w.from)), span(f.length(w.to - f.episode.to)));
    let outside = said!(
        "Weighed as an outage, had it begun {before} earlier (before {from}) or gone on for {after} more (past {to}).",
        "Gewogen als storing, als het {before} eerder was begonnen (vóór {from}) of {after} langer had geduurd (na {to})."
    );
    let least = f.topology.policy.maintenance_notice_days;
    let notice = w.notice.filter(|_| w.kind == uitwijk_model::WindowKind::Planned).map(|days| {
        said!(
            "Not excused, had it been announced less than {least} working days ahead (it was {days}).",
            "Niet verontschuldigd, als het minder dan {least} werkdagen vooraf was aangekondigd (het was {days})."
        )
    });
    std::iter::once(outside).chain(notice).collect()
}

/// More vantages that see it.
fn witnesses(f: &Facts<'_>) -> Vec<Said> {
    let (hurt, heard) = f.witnesses(is_entry(f), false);
    let least = usize::try_from(f.topology.policy.vantages_min).unwrap_or(usize::MAX);
    let more = least.max(heard.div_ceil(2)).saturating_sub(hurt).max(1);
    let mut regions: Vec<&str> = (0..f.topology.agents.len())
        .filter(|&v| f.trusts(v))
        .map(|v| f.topology.agents[v].vantage.region.as_str())
        .collect();
    regions.sort_unstable();
    regions.dedup();
    let (places, places_nl) = (regions.join(" or "), regions.join(" of "));
    vec![said!(
        "Weighed as a fault of the service, had {more} more of the {heard} trusted vantages from {places} seen it too.",
        "Gewogen als storing van de dienst, als {more} meer van de {heard} vertrouwde meetpunten uit {places_nl} het ook zagen."
    )]
}

/// Endpoints that carry more.
fn heavier(f: &Facts<'_>) -> Said {
    let (mut bad, mut total) = (0, 0);
    for (e, endpoint) in f.topology.endpoints.iter().enumerate() {
        let entry = f.topology.entry(e, f.episode.active);
        let of = entry.map(|t| f.sum_of(t)).unwrap_or_default();
        total += endpoint.weight;
        let limit = threshold(f.topology.policy.soft_share);
        bad += if of.failed_share() >= limit { endpoint.weight } else { 0 };
    }
    let wanted = f.topology.policy.endpoint_weight;
    let need = (total * u64::from(wanted.num())).div_ceil(u64::from(wanted.den()));
    let more = need.saturating_sub(bad).max(1);
    said!(
        "Weighed as an outage, had the bad endpoints carried {more} more of the weight of {total} (they carried {bad}), or \
         one of them been critical.",
        "Gewogen als storing, als de slechte onderdelen {more} meer van het gewicht van {total} droegen (ze droegen {bad}), of \
         een ervan kritiek was."
    )
}

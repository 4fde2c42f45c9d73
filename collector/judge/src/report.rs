//! What does a verdict rest on, what was put aside, and what would have changed it?

use uitwijk_model::{Millis, Slot, WallTime, WindowKind};

use crate::change::would_change;
use crate::episode::Episode;
use crate::facts::{Facts, is_control, is_entry, is_region};
use crate::share::{Count, threshold};
use crate::since::Since;
use crate::topology::{Announced, Role, Topology};
use crate::trust::Doubt;
use crate::verdict::{Cause, EpisodeId, Execution, Finding, Need, Rejected, Revision, RevisionKind};
use crate::words::{Said, clock, percent, ratio, said, span};

/// What a revision is called, and when it was made.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) id: EpisodeId,
    pub(crate) number: u32,
    pub(crate) kind: RevisionKind,
    pub(crate) decided: WallTime,
    pub(crate) complete: bool,
    pub(crate) since: Option<Since>,
}

/// Tells an episode with names and times.
pub(crate) fn revision(topology: &Topology, e: &Episode, stamp: Stamp) -> Revision {
    let start = |slot| topology.slot.start_of(Slot(slot));
    let facts = Facts::new(topology, e);
    let findings = findings(&facts);
    let rejected = rejected(&facts, &findings);
    Revision {
        episode: stamp.id,
        service: topology.service.clone(),
        revision: stamp.number,
        kind: stamp.kind,
        from: start(e.from),
        to: (!e.open).then(|| start(e.to)),
        decided: stamp.decided,
        need: e.need(),
        cause: e.cause,
        execution: e.execution,
        active_region: topology.regions[e.active].clone(),
        other_region: facts.other.map(|r| topology.regions[r].clone()),
        findings,
        rejected,
        would_change: would_change(&facts),
        plan_version: topology.plan_version.clone(),
        policy_version: topology.policy_version.clone(),
        evidence_hash: format!("{:032x}", e.sum.wrapping_sub(e.sum_before)),
        complete: stamp.complete,
        since: stamp.since,
    }
}

/// Everything that was found, the deciding things first.
fn findings(f: &Facts<'_>) -> Vec<Finding> {
    if f.episode.counts.is_empty() {
        let text = said!(
            "Later records show that nothing was wrong: this episode is withdrawn.",
            "Latere metingen tonen dat er niets mis was: deze episode is ingetrokken."
        );
        return vec![text.finding("withdrawn", Vec::new())];
    }
    let mut all = vec![public(f)];
    all.extend(confirmed(f));
    all.extend(zone(f));
    all.extend(direct(f));
    all.extend(partners(f));
    all.extend(references(f));
    all.extend(vantages(f));
    all.extend(clocks(f));
    all.extend(windows(f));
    all.extend(evidence(f));
    all.extend(switch(f));
    all.extend(reports(f));
    let first = deciding(f.episode.cause);
    all.sort_by_key(|finding| first.iter().position(|code| *code == finding.code).unwrap_or(first.len()));
    all
}

/// The findings that carry a cause, most important first.
fn deciding(cause: Cause) -> &'static [&'static str] {
    match cause {
        Cause::VantageFault => &["vantage_distrusted", "vantage_silent", "public_name_fine"],
        Cause::ZoneAbsorbed => &["zone_absent", "public_name_fine", "public_name_hurt"],
        Cause::ChainPartner => &["public_name_hurt", "partner_failing"],
        Cause::Maintenance => &["window_open", "public_name_hurt"],
        Cause::StandbyDown => &["other_region_bad", "public_name_fine"],
        Cause::InsufficientEvidence | Cause::NoData => &["evidence_short", "vantage_silent", "vantage_distrusted"],
        Cause::Healthy => &["switch_unneeded"],
        _ => &["public_name_hurt", "impact_confirmed", "active_region_bad", "other_region_fine", "other_region_bad"],
    }
}

fn is_slow(f: &Facts<'_>, c: Count) -> bool {
    c.failed_share() < threshold(f.topology.policy.soft_share)
        && c.slow_share() >= threshold(f.topology.policy.slow_share) / 2
}

/// "372 of 378 requests failed (98 %)", or the slow ones where slowness is the trouble.
fn tell(f: &Facts<'_>, c: Count) -> Said {
    let n = c.n;
    if is_slow(f, c) {
        let (slow, share) = (c.slow, percent(u64::from(c.slow), u64::from(n)));
        return said!("{slow} of {n} were too slow ({share})", "{slow} van {n} waren te traag ({share})");
    }
    let (failed, share) = (c.failed, percent(u64::from(c.failed), u64::from(n)));
    said!("{failed} of {n} failed ({share})", "{failed} van {n} mislukten ({share})")
}

/// Whether a count is bad enough to say so.
fn is_bad(f: &Facts<'_>, c: Count) -> bool {
    c.failed_share() >= threshold(f.topology.policy.soft_share) || is_slow(f, c)
}

fn public(f: &Facts<'_>) -> Finding {
    let entry = is_entry(f);
    let sum = f.sum(&entry);
    if sum.n == 0 {
        let text = said!(
            "Users: nobody with a vote measured the public name.",
            "Gebruikers: geen meetpunt met een stem mat de publieke naam."
        );
        return text.finding("public_name_unseen", Vec::new());
    }
    let (hurt, all) = f.witnesses(&entry, is_slow(f, sum));
    let Said { en, nl } = tell(f, sum);
    let code = if is_bad(f, sum) { "public_name_hurt" } else { "public_name_fine" };
    let text = said!(
        "Users: of the requests to the public name {en}; seen by {hurt} of {all} trusted vantages.",
        "Gebruikers: van de verzoeken aan de publieke naam {nl}; gezien door {hurt} van {all} vertrouwde meetpunten."
    );
    text.finding(code, f.observations(entry))
}

/// Each region asked directly, the active one first.
fn direct(f: &Facts<'_>) -> Vec<Finding> {
    let active = f.episode.active;
    let others = f.topology.deployed.iter().copied().filter(|&r| r != active);
    let mut all = Vec::new();
    for r in std::iter::once(active).chain(others) {
        let sum = f.sum(is_region(r));
        if sum.n == 0 {
            continue;
        }
        let (name, Said { en, nl }) = (f.region(r), tell(f, sum));
        let code = match (r == active, is_bad(f, sum)) {
            (true, true) => "active_region_bad",
            (true, false) => "active_region_fine",
            (false, true) => "other_region_bad",
            (false, false) => "other_region_fine",
        };
        let text = said!("{name} asked directly: {en}.", "{name} rechtstreeks gevraagd: {nl}.");
        all.push(text.finding(code, f.observations(is_region(r))));
    }
    if f.other.is_none() {
        let text = said!("There is no other region to go to.", "Er is geen andere regio om naar uit te wijken.");
        all.push(text.finding("no_other_region", Vec::new()));
    }
    all
}

fn confirmed(f: &Facts<'_>) -> Option<Finding> {
    let (known, hard) = f.episode.confirmed?;
    let p = &f.topology.policy;
    let at = clock(f.at(known + 1));
    let (share, window, held) = match (hard, f.episode.cause) {
        (true, _) => (p.hard_share, p.hard_window, p.hard_duration),
        (false, Cause::RegionSlow) => (p.slow_share, p.soft_window, p.soft_duration),
        (false, _) => (p.soft_share, p.soft_window, p.soft_duration),
    };
    let (share, window, held) = (ratio(share), span(window), span(held));
    let text = said!(
        "At {at} it had held for {held} without a break: at least {share} over {window}.",
        "Om {at} hield het {held} onafgebroken aan: minstens {share} over {window}."
    );
    Some(text.finding("impact_confirmed", Vec::new()))
}

fn zone(f: &Facts<'_>) -> Option<Finding> {
    let zone = f.episode.zone.filter(|_| f.episode.cause == Cause::ZoneAbsorbed)?;
    let region = f.active();
    let name = f.topology.zones[f.episode.active].get(zone).map_or("?", |z| z.as_str());
    let since = clock(f.at(f.episode.from));
    let text = said!(
        "Zone {name} of {region} has not answered since {since}; its other zones carried on.",
        "Zone {name} van {region} antwoordt niet sinds {since}; de andere zones namen het over."
    );
    Some(text.finding("zone_absent", f.observations(is_region(f.episode.active))))
}

fn partners(f: &Facts<'_>) -> Vec<Finding> {
    let partners = f.topology.targets.iter().filter_map(|t| match &t.role {
        Role::Partner(p) => Some(p),
        _ => None,
    });
    let one = |partner: &uitwijk_model::PartnerId| {
        let of = |role: &Role| matches!(role, Role::Partner(p) if p == partner);
        let sum = f.sum(of);
        let Said { en, nl } = tell(f, sum);
        let bad = sum.failed_share() >= threshold(f.topology.policy.partner_margin);
        let text = said!("Partner {partner}: {en}.", "Ketenpartner {partner}: {nl}.");
        (sum.n > 0).then(|| text.finding(if bad { "partner_failing" } else { "partner_fine" }, f.observations(of)))
    };
    partners.filter_map(one).collect()
}

fn references(f: &Facts<'_>) -> Option<Finding> {
    let sum = f.sum(is_control);
    let Said { en, nl } = tell(f, sum);
    let code = if is_bad(f, sum) { "references_failing" } else { "references_fine" };
    let text = said!("Independent references: {en}.", "Onafhankelijke ijkpunten: {nl}.");
    (sum.n > 0).then(|| text.finding(code, f.observations(is_control)))
}

fn vantages(f: &Facts<'_>) -> Vec<Finding> {
    let one = |&(v, doubt, slots): &(usize, Doubt, u64)| {
        let agent = &f.topology.agents[v];
        let (id, place) = (&agent.id, &agent.vantage);
        let time = span(f.length(i64::try_from(slots).unwrap_or(i64::MAX)));
        let why = match doubt {
            Doubt::Silent => said!("it measured nothing", "het mat niets"),
            Doubt::NoSignOfLife => said!("nothing at all succeeded for it", "er lukte daar niets"),
            Doubt::ManyDomains => {
                said!("unrelated things failed for it at once", "onafhankelijke zaken mislukten daar tegelijk")
            }
            Doubt::Controls => said!("the references failed for it", "de ijkpunten mislukten daar"),
            _ => said!("it alone saw failures", "alleen daar waren mislukkingen te zien"),
        };
        let (en, nl) = (why.en, why.nl);
        let code = if doubt == Doubt::Silent { "vantage_silent" } else { "vantage_distrusted" };
        let text =
            said!("{id} in {place} had no vote for {time}: {en}.", "{id} in {place} had {time} geen stem: {nl}.");
        text.finding(code, f.observations_of(v))
    };
    f.distrusted.iter().map(one).collect()
}

/// Switches that somebody reported, held against the answers.
fn reports(f: &Facts<'_>) -> Vec<Finding> {
    let one = |&(slot, from, to, refuted): &(i64, usize, usize, Option<usize>)| {
        let (at, from, to) = (clock(f.at(slot)), f.region(from), f.region(to));
        match refuted {
            None => said!(
                "A switch from {from} to {to} at {at} was reported, and no answer told otherwise.",
                "Een uitwijk van {from} naar {to} om {at} is gemeld, en geen antwoord sprak dat tegen."
            )
            .finding("switch_logged", Vec::new()),
            Some(told) => {
                let (told, grace) = (f.region(told), span(f.topology.policy.switch_grace));
                said!(
                    "A switch from {from} to {to} at {at} was reported, but more than {grace} later {told} still answered.",
                    "Een uitwijk van {from} naar {to} om {at} is gemeld, maar meer dan {grace} later antwoordde {told} nog."
                )
                .finding("switch_log_disagrees", Vec::new())
            }
        }
    };
    f.episode.reports.iter().map(one).collect()
}

/// Clocks that were wrong.
fn clocks(f: &Facts<'_>) -> Vec<Finding> {
    let policy = &f.topology.policy;
    let wrong = f.episode.clocks.iter().enumerate().filter(|(_, seconds)| **seconds != 0);
    let one = |(v, &seconds): (usize, &i64)| {
        let agent = &f.topology.agents[v];
        let (id, place, by) = (&agent.id, &agent.vantage, span(Millis::from_secs(seconds.unsigned_abs())));
        let (way, way_nl) = if seconds > 0 { ("ahead", "voor") } else { ("behind", "achter") };
        let flag = policy.clock_flag;
        let (flagged, flagged_nl) = match Millis::from_secs(seconds.unsigned_abs()) >= flag {
            true => (format!(" It is flagged: {flag} or more."), format!(" Het is gemarkeerd: {flag} of meer.")),
            false => (String::new(), String::new()),
        };
        said!(
            "The clock of {id} in {place} was up to {by} {way}; its measurements were put right.{flagged}",
            "De klok van {id} in {place} liep tot {by} {way_nl}; de metingen zijn rechtgezet.{flagged_nl}"
        )
        .finding("vantage_clock", Vec::new())
    };
    wrong.map(one).collect()
}

fn windows(f: &Facts<'_>) -> Vec<Finding> {
    let open = |w: &&Announced| w.from < f.episode.to && f.episode.from < w.to;
    let one = |w: &Announced| {
        let (from, to) = (clock(f.at(w.from)), clock(f.at(w.to)));
        let kind = match w.kind {
            WindowKind::Planned => said!("planned maintenance", "gepland onderhoud"),
            WindowKind::Agreed => said!("agreed maintenance", "afgesproken onderhoud"),
            WindowKind::Emergency => said!("emergency maintenance", "spoedonderhoud"),
            WindowKind::ForceMajeure => said!("force majeure", "overmacht"),
        };
        let (en, nl) = (kind.en, kind.nl);
        let notice = w.notice.map_or(String::new(), |days| format!(", {days}"));
        let told = if notice.is_empty() { "" } else { " working days ahead" };
        let told_nl = if notice.is_empty() { "" } else { " werkdagen vooraf" };
        let (code, excuse, excuse_nl) = match w.excuses {
            true => {
                ("window_open", "it excuses what lies in its scope", "het verontschuldigt wat binnen het bereik valt")
            }
            false => ("window_no_excuse", "it excuses nothing", "het verontschuldigt niets"),
        };
        said!(
            "Announced: {en}, {from} to {to}{notice}{told}; {excuse}.",
            "Aangekondigd: {nl}, {from} tot {to}{notice}{told_nl}; {excuse_nl}."
        )
        .finding(code, Vec::new())
    };
    f.topology.windows.iter().filter(open).map(one).collect()
}

fn evidence(f: &Facts<'_>) -> Option<Finding> {
    if f.episode.need() != Need::Inconclusive {
        return None;
    }
    let (_, heard) = f.witnesses(is_entry(f), false);
    let (least, samples) = (f.topology.policy.vantages_min, f.topology.policy.samples_min);
    let window = span(f.topology.policy.hard_window);
    let n = f.sum(is_entry(f)).n;
    let text = said!(
        "Too little was seen: {heard} trusted vantages and {n} samples; it takes {least} vantages in different zones and \
         {samples} samples in {window}.",
        "Er is te weinig gezien: {heard} vertrouwde meetpunten en {n} metingen; nodig zijn {least} meetpunten in \
         verschillende zones en {samples} metingen in {window}."
    );
    Some(text.finding("evidence_short", f.observations(is_entry(f))))
}

fn switch(f: &Facts<'_>) -> Option<Finding> {
    let e = f.episode;
    let Some((slot, to)) = e.switch else {
        let active = f.active();
        let text = said!("{active} was not left.", "{active} is niet verlaten.");
        return (e.need() == Need::Needed).then(|| text.finding("switch_missing", Vec::new()));
    };
    let (at, to, from) = (clock(f.at(slot)), f.region(to), f.active());
    let late = span(f.length(slot - e.from));
    let (code, text) = match e.execution {
        Execution::Executed => (
            "switch_executed",
            said!(
                "{to} served from {at} on, {late} after the trouble began.",
                "{to} bediende vanaf {at}, {late} nadat het begon."
            ),
        ),
        _ => (
            "switch_unneeded",
            said!("Users were moved from {from} to {to} at {at}.", "Gebruikers gingen om {at} van {from} naar {to}."),
        ),
    };
    Some(text.finding(code, Vec::new()))
}

/// Causes that were put aside, each with the finding that did it.
fn rejected(f: &Facts<'_>, findings: &[Finding]) -> Vec<Rejected> {
    let has = |code: &str| findings.iter().any(|finding| finding.code == code);
    let (active, other) = (f.active(), f.other_name());
    let candidates = [
        (
            Cause::VantageFault,
            "references_fine",
            said!("The references were fine for those who saw it.", "De ijkpunten waren in orde voor wie het zag."),
        ),
        (
            Cause::FrontDoor,
            "active_region_bad",
            said!("{active} itself was bad, not only the way in.", "{active} zelf was slecht, niet alleen de toegang."),
        ),
        (
            Cause::GlobalFault,
            "other_region_fine",
            said!("{other} was fine in the same time.", "{other} was in dezelfde tijd in orde."),
        ),
        (Cause::ChainPartner, "partner_fine", said!("The partners were fine.", "De ketenpartners waren in orde.")),
        (
            Cause::RegionDown,
            "other_region_bad",
            said!("{other} was no better than {active}.", "{other} was niet beter dan {active}."),
        ),
        (
            Cause::RegionDown,
            "active_region_fine",
            said!("{active} answered when asked directly.", "{active} antwoordde op rechtstreekse vragen."),
        ),
        (Cause::RegionDown, "public_name_fine", said!("Users were served.", "Gebruikers werden bediend.")),
        (
            Cause::Transient,
            "impact_confirmed",
            said!("It held for too long to be a blip.", "Het duurde te lang voor een hapering."),
        ),
    ];
    let need = f.episode.need();
    let mut out: Vec<Rejected> = Vec::new();
    if need == Need::Inconclusive {
        // What cannot be said puts nothing aside.
        return out;
    }
    for (cause, code, text) in candidates {
        let own = cause == f.episode.cause || cause.need() == need && need == Need::Needed;
        let hurt = matches!(need, Need::Needed | Need::Futile) || f.episode.cause == Cause::ChainPartner;
        let fits = hurt || cause == Cause::RegionDown;
        if !own && fits && has(code) && out.iter().all(|r| r.cause != cause) {
            out.push(text.rejects(cause, code));
        }
    }
    out
}

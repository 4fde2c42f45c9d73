//! How is a verdict told to a person who was woken up for it?
//!
//! The first line is the answer, the second says when and how firm, the third says why in one sentence. Then the
//! findings with their numbers, what was put aside, and what would have changed the answer. Every line fits 80 columns.

use crate::between;
use crate::verdict::{Cause, Execution, Need, Rejected, Revision, RevisionKind};
use crate::words::{clock, date, span, wrap};
use uitwijk_model::{Millis, WallTime};

/// The languages that a verdict can be told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Dutch.
    Dutch,
}

impl Language {
    const fn pick<'a>(self, en: &'a str, nl: &'a str) -> &'a str {
        match self {
            Self::English => en,
            Self::Dutch => nl,
        }
    }
}

const WIDTH: usize = 80;

/// Tells a verdict in lines of at most 80 columns.
#[must_use]
pub fn explain(r: &Revision, language: Language) -> String {
    let mut lines = vec![headline(r, language), when(r, language), why(r, language)];
    let findings = r.findings.iter().map(|f| language.pick(&f.text, &f.text_nl).to_owned());
    section(&mut lines, language.pick("What was seen:", "Wat is gezien:"), findings.collect());
    let reason = |x: &Rejected| language.pick(&x.reason, &x.reason_nl).to_owned();
    let rejected = r.rejected.iter().map(|x| format!("{}: {} ({})", x.cause, reason(x), x.finding_code));
    section(&mut lines, language.pick("What was put aside:", "Wat is verworpen:"), rejected.collect());
    let changes = r.would_change.iter().map(|w| language.pick(&w.text, &w.text_nl).to_owned());
    let title = language.pick("What would have changed the answer:", "Wat het antwoord had veranderd:");
    section(&mut lines, title, changes.collect());
    if let Some(since) = &r.since {
        let title =
            language.pick("What came in since the revision before:", "Wat er sinds de vorige herziening binnenkwam:");
        let told = between::between(since).into_iter().map(|said| language.pick(&said.en, &said.nl).to_owned());
        section(&mut lines, title, told.collect());
    }
    lines.push(String::new());
    lines.extend(footer(r, language));
    lines.iter().map(|line| wrap_line(line) + "\n").collect()
}

fn wrap_line(line: &str) -> String {
    match line.strip_prefix("  - ") {
        Some(text) => format!("  - {}", wrap(text, WIDTH - 4, 0).replace('\n', "\n    ")),
        None => wrap(line, WIDTH, 2),
    }
}

fn section(lines: &mut Vec<String>, title: &str, items: Vec<String>) {
    if !items.is_empty() {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(items.into_iter().map(|text| format!("  - {text}")));
    }
}

/// The answer itself.
fn headline(r: &Revision, language: Language) -> String {
    let open = r.to.is_none();
    let (en, nl) = match (r.need, r.execution) {
        (Need::Needed, Execution::Executed) => {
            ("A FAILOVER WAS NEEDED, AND WAS DONE.", "UITWIJKEN WAS NODIG, EN IS GEBEURD.")
        }
        (Need::Needed, _) if open => {
            ("A FAILOVER IS NEEDED, and has not been done so far.", "UITWIJKEN IS NODIG, en is nog niet gebeurd.")
        }
        (Need::Needed, _) => ("A FAILOVER WAS NEEDED, AND WAS NOT DONE.", "UITWIJKEN WAS NODIG, EN IS NIET GEBEURD."),
        (Need::Futile, Execution::Unnecessary) => {
            ("A FAILOVER WAS DONE THAT COULD NOT HELP.", "ER IS UITGEWEKEN TERWIJL DAT NIET KON HELPEN.")
        }
        (Need::Futile, _) if open => ("A FAILOVER WOULD NOT HELP.", "UITWIJKEN HELPT NIET."),
        (Need::Futile, _) => ("A FAILOVER WOULD NOT HAVE HELPED.", "UITWIJKEN HAD NIET GEHOLPEN."),
        (Need::NotNeeded, Execution::Unnecessary) => {
            ("A FAILOVER WAS DONE THAT WAS NOT NEEDED.", "ER IS UITGEWEKEN ZONDER DAT HET NODIG WAS.")
        }
        (Need::NotNeeded, _) if open => ("NO FAILOVER IS NEEDED.", "UITWIJKEN IS NIET NODIG."),
        (Need::NotNeeded, _) => ("NO FAILOVER WAS NEEDED.", "UITWIJKEN WAS NIET NODIG."),
        (Need::Inconclusive, _) => {
            ("IT CANNOT BE SAID whether a failover was needed.", "NIET TE ZEGGEN of uitwijken nodig was.")
        }
    };
    format!("{}: {}", r.service, language.pick(en, nl))
}

/// When it was, how long it took and how firm the answer is.
fn when(r: &Revision, language: Language) -> String {
    let (day, from) = (date(r.from), clock(r.from));
    let kind = match r.kind {
        RevisionKind::Provisional => language.pick("provisional", "voorlopig"),
        RevisionKind::Final => language.pick("final", "definitief"),
        RevisionKind::Revised => language.pick("revised", "herzien"),
    };
    let number = r.revision;
    let revision = language.pick("revision", "herziening");
    let tail = format!("{kind}, {revision} {number}.");
    let Some(to) = r.to else {
        let since = language.pick("since", "sinds");
        let so_far = language.pick("still open", "nog gaande");
        return format!("{day} {since} {from} UTC, {so_far}, {tail}");
    };
    let until = if date(to) == day { clock(to) } else { format!("{} {}", date(to), clock(to)) };
    let length = span(between(r.from, to));
    let word = language.pick("to", "tot");
    format!("{day} {from} {word} {until} UTC ({length}), {tail}")
}

fn between(from: WallTime, to: WallTime) -> Millis {
    Millis(u64::try_from(to.micros_since(from)).unwrap_or(0) / 1000)
}

/// Why, in one sentence.
fn why(r: &Revision, language: Language) -> String {
    let (a, b) = (&r.active_region, r.other_region.as_ref().map_or("-", |o| o.as_str()));
    let (en, nl) = match r.cause {
        Cause::Healthy => {
            ("Users were well served all along.".to_owned(), "Gebruikers werden steeds goed bediend.".to_owned())
        }
        Cause::ZoneAbsorbed => (
            format!("One zone of {a} fell out, and the others absorbed it."),
            format!("Eén zone van {a} viel uit, en de andere vingen dat op."),
        ),
        Cause::Transient => (
            "Users were hurt, but not for long enough to leave a region for it.".to_owned(),
            "Gebruikers hadden last, maar te kort om er een regio voor te verlaten.".to_owned(),
        ),
        Cause::VantageFault => (
            "An observer was sick or silent; the service was not.".to_owned(),
            "Een meetpunt was ziek of stil; de dienst niet.".to_owned(),
        ),
        Cause::PathFault => (
            "The way from some observers was broken; the service was not.".to_owned(),
            "De weg vanaf sommige meetpunten was stuk; de dienst niet.".to_owned(),
        ),
        Cause::Maintenance => (
            format!("It was announced, and {a} was inside what was announced."),
            format!("Het was aangekondigd, en {a} viel binnen de aankondiging."),
        ),
        Cause::ChainPartner => (
            "A chain partner failed; another region depends on it just as much.".to_owned(),
            "Een ketenpartner viel uit; een andere regio hangt daar net zo van af.".to_owned(),
        ),
        Cause::SlowWithinObjective => (
            "It was slower than usual, within the objective.".to_owned(),
            "Het was trager dan anders, binnen de norm.".to_owned(),
        ),
        Cause::MinorDegradation => (
            "Some requests failed or were slow, fewer than the policy minds.".to_owned(),
            "Een deel mislukte of was traag, minder dan waar het beleid op let.".to_owned(),
        ),
        Cause::EndpointFault => (
            "An endpoint was bad that does not carry enough of the service.".to_owned(),
            "Een onderdeel was slecht dat niet genoeg van de dienst draagt.".to_owned(),
        ),
        Cause::StandbyDown => (
            format!("{b} was bad, but {a} served. For as long, there is no way out."),
            format!("{b} was slecht, maar {a} bediende. Zolang is er geen uitwijk."),
        ),
        Cause::DiagnosticOnly => (
            format!("Only the direct name of {a} was bad; users were served."),
            format!("Alleen de rechtstreekse naam van {a} was slecht; gebruikers werden bediend."),
        ),
        Cause::RegionDown => {
            (format!("{a} was down and {b} was clearly better."), format!("{a} lag eruit en {b} was duidelijk beter."))
        }
        Cause::RegionDegraded => (
            format!("A part of {a} failed and {b} was clearly better."),
            format!("{a} faalde deels en {b} was duidelijk beter."),
        ),
        Cause::RegionSlow => (
            format!("{a} was too slow and {b} was clearly better."),
            format!("{a} was te traag en {b} was duidelijk beter."),
        ),
        Cause::GlobalFault if r.other_region.is_none() => (
            format!("{a} was bad, and there is no other region."),
            format!("{a} was slecht, en er is geen andere regio."),
        ),
        Cause::GlobalFault => {
            (format!("{a} was bad, and {b} was no better."), format!("{a} was slecht, en {b} was niet beter."))
        }
        Cause::FrontDoor => (
            "The regions were fine; the entry that they share was not.".to_owned(),
            "De regio's waren in orde; de gedeelde toegang niet.".to_owned(),
        ),
        Cause::DnsGlobal => (
            "The regions were fine; the public name did not resolve.".to_owned(),
            "De regio's waren in orde; de publieke naam was niet op te zoeken.".to_owned(),
        ),
        Cause::InsufficientEvidence => (
            "Too few trusted observers, or too few samples.".to_owned(),
            "Te weinig vertrouwde meetpunten, of te weinig metingen.".to_owned(),
        ),
        Cause::NoData => ("Nobody measured anything.".to_owned(), "Niemand heeft iets gemeten.".to_owned()),
    };
    format!("{} ({})", language.pick(&en, &nl), r.cause)
}

/// How to check it.
fn footer(r: &Revision, language: Language) -> [String; 3] {
    let missing = match r.complete {
        true => language.pick("every agent's records are in", "van elk meetpunt is alles binnen"),
        false => language.pick("records may still be missing", "er kunnen nog metingen ontbreken"),
    };
    let (episode, plan, policy, hash) = (&r.episode, &r.plan_version, &r.policy_version, &r.evidence_hash);
    [
        format!("{} {episode}", language.pick("Episode", "Episode")),
        format!("{} {plan}, {} {policy}", language.pick("Plan", "Plan"), language.pick("policy", "beleid")),
        format!("{} {hash}: {missing}", language.pick("Evidence", "Bewijs")),
    ]
}

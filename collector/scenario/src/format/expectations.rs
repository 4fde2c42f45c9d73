//! What should be said about a stretch of time, and what counts as right too?

use serde_json::Value;
use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::ServiceId;

use super::object::{Notes, Object};
use super::{Accepted, Expect, Label};

/// Reads a labelled interval.
pub(super) fn expect(o: &Object<'_>, notes: &Notes) -> Expect {
    let (from, to) = (o.needed_seconds("from_s"), o.needed_seconds("to_s"));
    if from >= to {
        o.note(format!("{} {}s is not allowed: later than from_s", o.place("to_s"), super::effects::seconds(to)));
    }
    let cause = word(o, "cause", &Cause::ALL.iter().map(|c| (c.label(), *c)).collect::<Vec<_>>());
    let need = word(o, "need", &needs());
    let executed = word(o, "executed", &executions());
    for (key, given) in [("need", need.is_some()), ("cause", cause.is_some()), ("executed", executed.is_some())] {
        if !given && !o.has(key) {
            o.note(format!("{} is missing", o.place(key)));
        }
    }
    let cause = cause.unwrap_or(Cause::Healthy);
    let label = Label { need: need.unwrap_or(cause.need()), cause, executed: executed.unwrap_or(Execution::None) };
    if need.is_some_and(|need| need != cause.need()) && o.has("cause") {
        o.note(format!("{} {cause} does not go with need {}", o.place("cause"), label.need.label().to_uppercase()));
    }
    let accepted = |key| o.list(key).into_iter().filter_map(|(path, v)| accepted(&path, v, notes)).collect();
    let expect = Expect {
        from,
        to,
        tolerance: o.seconds("tolerance_s", uitwijk_model::Millis(0)),
        service: o.name("service", |n| ServiceId::new(n)),
        label,
        accept: accepted("accept"),
        live_accept: accepted("live_accept"),
    };
    o.finish();
    expect
}

fn needs() -> Vec<(&'static str, Need)> {
    vec![
        ("NOT_NEEDED", Need::NotNeeded),
        ("NEEDED", Need::Needed),
        ("FUTILE", Need::Futile),
        ("INCONCLUSIVE", Need::Inconclusive),
    ]
}

fn executions() -> Vec<(&'static str, Execution)> {
    Execution::ALL.iter().map(|e| (e.label(), *e)).collect()
}

fn word<T: Copy>(o: &Object<'_>, key: &'static str, all: &[(&'static str, T)]) -> Option<T> {
    let text = o.text(key)?;
    let found = all.iter().find(|(label, _)| *label == text).map(|(_, value)| *value);
    if found.is_none() {
        let allowed: Vec<&str> = all.iter().map(|(label, _)| *label).collect();
        o.wrong(key, &Value::from(text), &allowed.join(", "));
    }
    found
}

/// An object with some of need, cause and executed; or one text: a cause, a need, or both with a slash between.
fn accepted(path: &str, value: &Value, notes: &Notes) -> Option<Accepted> {
    let object;
    let o = match value {
        Value::String(text) => {
            object = spelled(text);
            Object::of(path, &object, notes)?
        }
        other => Object::of(path, other, notes)?,
    };
    let cause = word(&o, "cause", &Cause::ALL.iter().map(|c| (c.label(), *c)).collect::<Vec<_>>());
    let need = word(&o, "need", &needs());
    let executed = word(&o, "executed", &executions());
    if need.is_none() && cause.is_none() && !o.has("need") && !o.has("cause") {
        o.note(format!("{path} is not a verdict: give need, cause or both"));
    }
    o.finish();
    Some(Accepted { need: need.or(cause.map(Cause::need))?, cause, executed })
}

fn spelled(text: &str) -> Value {
    let mut map = serde_json::Map::new();
    for word in text.split(['/', ' ', ':']).filter(|w| !w.is_empty()) {
        let key = if needs().iter().any(|(label, _)| *label == word) {
            "need"
        } else if executions().iter().any(|(label, _)| *label == word) {
            "executed"
        } else {
            "cause"
        };
        map.insert(key.to_owned(), word.into());
    }
    Value::Object(map)
}

//! What was announced, how long ahead, and do the announcements agree?

use jiff::civil::{Date, DateTime};

use super::build::Context;
use super::path::Path;
use super::raw::{RawPlan, RawScope, RawWindow};
use crate::id::ServiceId;
use crate::plan::working_days;
use crate::time::WallTime;
use crate::window::{Window, WindowScope};

/// The longest window, in days.
const DAYS_MAX: i64 = 366;

pub(super) fn windows(raw: &RawPlan, context: &mut Context) -> Vec<Window> {
    let path = |i: usize| Path::root().join("windows").item(i);
    let mut windows: Vec<(usize, Window)> = Vec::new();
    for (i, window) in raw.windows.iter().enumerate() {
        let Some(window) = one_window(window, raw, &path(i), context) else { continue };
        if let Some((first, message)) = windows.iter().find_map(|(j, other)| clash(other, &window).map(|m| (*j, m))) {
            context.tell(&path(i), format!("{message} windows[{first}]"));
        }
        windows.push((i, window));
    }
    windows.into_iter().map(|(_, window)| window).collect()
}

/// Two announcements of one kind for one scope are one announcement; which of two notices would count is not for the judge to guess.
fn clash(a: &Window, b: &Window) -> Option<&'static str> {
    if a.kind != b.kind || a.scope != b.scope {
        return None;
    }
    match (a.from, a.to) == (b.from, b.to) {
        true => Some("is the same as"),
        false if a.from < b.to && b.from < a.to => Some("overlaps, with the same kind and scope,"),
        false => None,
    }
}

fn one_window(raw: &RawWindow, plan: &RawPlan, path: &Path, context: &mut Context) -> Option<Window> {
    check_scope(&raw.scope, &path.join("scope"), context);
    check_endpoints(&raw.scope, plan, &path.join("scope"), context);
    let from = moment(raw.from.as_deref(), &path.join("from"), context);
    let to = moment(raw.to.as_deref(), &path.join("to"), context);
    let notice = notice(raw, plan, from, path, context);
    let (from, to) = (from?, to?);
    if to <= from {
        context.tell(&path.join("to"), format!("{to} is not after from, {from}"));
    } else if to.micros_since(from) > DAYS_MAX * 86_400_000_000 {
        context.tell(&path.join("to"), format!("is more than {DAYS_MAX} days after from"));
    }
    let (author, reason) = (raw.author.clone()?, raw.reason.clone()?);
    Some(Window { kind: raw.kind?, from, to, notice_working_days: notice, scope: scope(&raw.scope), author, reason })
}

/// With an offset it is a moment; without, it is local time, which must exist exactly once.
fn moment(text: Option<&str>, path: &Path, context: &mut Context) -> Option<WallTime> {
    let text = text?;
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(WallTime::from_micros(moment.as_microsecond()));
    }
    let local = text.parse::<DateTime>().ok()?;
    match context.time_zone.to_ambiguous_timestamp(local).unambiguous() {
        Ok(moment) => Some(WallTime::from_micros(moment.as_microsecond())),
        Err(_) => {
            context.tell(
                path,
                format!("{text} comes never or twice there, for the clocks change; write it with an offset"),
            );
            None
        }
    }
}

fn notice(raw: &RawWindow, plan: &RawPlan, from: Option<WallTime>, path: &Path, context: &mut Context) -> Option<u32> {
    let Some(announced) = raw.announced else { return raw.notice_working_days };
    if raw.notice_working_days.is_some() {
        context.tell(&path.join("notice_working_days"), "stands beside announced, expected one of them");
    }
    let day = local_day(from?, context)?;
    if announced > day {
        context.tell(&path.join("announced"), format!("{announced} is after the window begins, on {day}"));
    }
    Some(working_days::notice(announced, day, &plan.holidays))
}

fn local_day(at: WallTime, context: &Context) -> Option<Date> {
    let moment = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
    Some(context.time_zone.to_datetime(moment).date())
}

fn check_scope(scope: &RawScope, path: &Path, context: &mut Context) {
    for (i, service) in scope.services.iter().enumerate() {
        context.service(service, &path.join("services").item(i));
    }
    for (i, region) in scope.regions.iter().enumerate() {
        context.region(region, &path.join("regions").item(i));
    }
    for (i, partner) in scope.partners.iter().enumerate() {
        context.partner(partner, &path.join("partners").item(i));
    }
    for (i, zone) in scope.zones.iter().enumerate() {
        let regions = context.regions.iter().filter(|(r, _)| scope.regions.is_empty() || scope.regions.contains(*r));
        let known = regions.into_iter().any(|(_, zones)| zones.contains(zone));
        if !known && !context.is_doubtful("regions") {
            context.tell(&path.join("zones").item(i), format!("zone {zone} is in none of the regions of this window"));
        }
    }
}

/// An endpoint of a scope is one of a service in it; partners have none.
fn check_endpoints(scope: &RawScope, plan: &RawPlan, path: &Path, context: &mut Context) {
    if !scope.endpoints.is_empty() && !scope.partners.is_empty() {
        context.tell(&path.join("endpoints"), "stands beside partners, which have no endpoints; expected one of them");
    }
    for (i, endpoint) in scope.endpoints.iter().enumerate() {
        let covered = |service: &ServiceId| scope.services.is_empty() || scope.services.contains(service);
        let services = plan.services.iter().flat_map(|services| &services.0).filter(|(service, _)| covered(service));
        let mut endpoints = services.filter_map(|(_, service)| service.endpoints.as_ref());
        if !endpoints.any(|all| all.0.contains_key(endpoint)) && !context.is_doubtful("services") {
            let message = format!("endpoint {endpoint} is in none of the services of this window");
            context.tell(&path.join("endpoints").item(i), message);
        }
    }
}

fn scope(raw: &RawScope) -> WindowScope {
    WindowScope {
        services: raw.services.iter().cloned().collect(),
        regions: raw.regions.iter().cloned().collect(),
        zones: raw.zones.iter().cloned().collect(),
        partners: raw.partners.iter().cloned().collect(),
        endpoints: raw.endpoints.iter().cloned().collect(),
    }
}

//! What the API shows of a hook's deliveries, for three days, and how it is asked to try one again.
//! `deliveries` keeps and sends them; `hooks` says who may ask.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::delivery::{Delivery, Outgoing};
use super::hooks;
use super::request::{Request, encode, stamp};
use super::state::State;
use http::StatusCode;

/// How long a delivery can be seen and redelivered (docs, "Redelivering webhooks").
const KEPT_HOURS: i64 = 72;

/// After which a hook does not know its last response any more (REST docs, "List repository webhooks").
const REMEMBERED_HOURS: i64 = 30 * 24;

fn kept(delivery: &Delivery, now: Timestamp) -> bool {
    now < delivery.at + SignedDuration::from_hours(KEPT_HOURS)
}

fn code(delivery: &Delivery) -> u16 {
    delivery.status_code.unwrap_or(delivery.told_code)
}

fn item(delivery: &Delivery) -> Value {
    let hundredths = delivery.duration_ms.div_ceil(10);
    json!({
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": stamp(delivery.at),
        "redelivery": delivery.redelivery,
        "duration": f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0,
        "status": delivery.status,
        "status_code": code(delivery),
        "event": delivery.event,
        "action": delivery.action,
        // A hook of a repository belongs to no installation.
        "installation_id": null,
        "repository_id": delivery.repository_id,
        "throttled_at": null,
    })
}

/// `last_response` of a hook; null once it is too long ago.
pub(super) fn last_response(state: &State, hook: u64, now: Timestamp) -> Value {
    let Some(last) = state.deliveries.shown(hook, now).into_iter().next() else {
        return json!({ "code": null, "status": "unused", "message": null });
    };
    if now >= last.at + SignedDuration::from_hours(REMEMBERED_HOURS) {
        return Value::Null;
    }
    let status = match (last.status_code, last.status.as_str()) {
        (Some(200..=299), _) => "active",
        (Some(_), _) => "misconfigured",
        (None, "timed out") => "timeout",
        (None, _) => "connection_error",
    };
    json!({ "code": code(&last), "status": status, "message": last.status })
}

/// A page begins with the delivery that the cursor names. What it is made of is nobody's business.
fn cursor_of(delivery: &Delivery) -> String {
    format!("v1_{}", hex::encode((delivery.id ^ 0x5357).to_be_bytes()))
}

fn begins_with(cursor: &str) -> Result<u64, Answer> {
    let bytes = cursor.strip_prefix("v1_").and_then(|hexed| hex::decode(hexed).ok());
    let bytes: Option<[u8; 8]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let invalid = || Answer::refused(StatusCode::BAD_REQUEST, "Invalid cursor");
    Ok(u64::from_be_bytes(bytes.ok_or_else(invalid)?) ^ 0x5357)
}

/// Whether the outcome is of this kind; what was not answered at all may be of neither.
fn filter(wanted: Option<&str>) -> Result<fn(u16) -> bool, Answer> {
    match wanted {
        None => Ok(|_| true),
        Some("success") => Ok(|code| (200..400).contains(&code)),
        Some("failure") => Ok(|code| (400..600).contains(&code)),
        Some(other) => Err(Answer::unprocessable(format!(
            "Invalid request.\n\nFor 'properties/status', {other} is not a member of [\"success\", \"failure\"]."
        ))),
    }
}

pub(super) fn list(state: &mut State, request: &Request) -> Outcome {
    let (_, hook) = hooks::find(state, request, false)?;
    let wanted = filter(request.query("status"))?;
    let mut all = state.deliveries.shown(hook.id, request.now);
    all.retain(|delivery| kept(delivery, request.now) && wanted(code(delivery)));
    let per_page = request.query("per_page").and_then(|most| most.parse::<usize>().ok());
    let per_page = per_page.filter(|most| *most > 0).unwrap_or(30).min(100);
    let begin = match request.query("cursor") {
        // What the cursor named may be gone by now: older ones follow.
        Some(cursor) => {
            let first = begins_with(cursor)?;
            all.iter().position(|delivery| delivery.id <= first).unwrap_or(all.len())
        }
        None => 0,
    };
    let path = request.target.split('?').next().unwrap_or_default();
    let link = |to: usize, rel: &str| {
        let mut query = format!("per_page={per_page}");
        if let Some(status) = request.query("status") {
            query = format!("{query}&status={}", encode(status));
        }
        all.get(to)
            .map(|first| format!("<{}{path}?{query}&cursor={}>; rel=\"{rel}\"", state.url, cursor_of(first)))
    };
    let before = if begin > 0 { link(begin.saturating_sub(per_page), "prev") } else { None };
    let links: Vec<String> = before.into_iter().chain(link(begin + per_page, "next")).collect();
    let page: Vec<Value> = all.iter().skip(begin).take(per_page).map(item).collect();
    Ok(Answer::page(Value::Array(page), (!links.is_empty()).then(|| links.join(", "))))
}

fn named(state: &State, request: &Request, hook: u64) -> Result<Delivery, Answer> {
    let id = request.number("delivery_id")?;
    let mut shown = state.deliveries.shown(hook, request.now).into_iter();
    shown.find(|one| one.id == id && kept(one, request.now)).ok_or_else(Answer::not_found)
}

pub(super) fn get(state: &mut State, request: &Request) -> Outcome {
    let (_, hook) = hooks::find(state, request, false)?;
    let delivery = named(state, request, hook.id)?;
    let mut view = item(&delivery);
    view["url"] = delivery.url.clone().into();
    view["request"] = json!({ "headers": delivery.request_headers, "payload": delivery.payload() });
    view["response"] = match delivery.status_code {
        Some(_) => json!({ "headers": delivery.response_headers, "payload": delivery.response_body }),
        None => json!({ "headers": {}, "payload": null }),
    };
    Ok(Answer::ok(view))
}

/// The attempt itself is made later, and shown when it is over.
pub(super) fn attempt(state: &mut State, request: &Request) -> Outcome {
    let (_, hook) = hooks::find(state, request, true)?;
    let delivery = named(state, request, hook.id)?;
    state.outbox.push(Outgoing::Again { id: delivery.id, hook });
    Ok(Answer::new(StatusCode::ACCEPTED, json!({})))
}

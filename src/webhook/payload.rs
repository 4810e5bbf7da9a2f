//! The few fields that the receiver reads of a delivery. Everything else, known or new, is skipped.
//! Neighbours: `delivery` parses after the signature has been checked, `domain::pull_request` decides.

use super::repositories::NamedRepository;
use crate::{
    api::{PullRequestState, bounds},
    domain::pull_request::{ObservedPullRequest, marker_in},
};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// The action of a delivery that is otherwise not what GitHub sends.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) action: Option<String>,
}

impl Head {
    /// Parses a signed body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        parse(body)
    }
}

/// What tells whether a payload concerns any Task: the first few of its many kilobytes, where GitHub puts them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glimpse<'a> {
    pub(super) action: &'a str,
    pub(super) number: i64,
    /// The head branch; empty where it was not looked for.
    pub(super) branch: &'a str,
}

impl<'a> Glimpse<'a> {
    /// Looks into a signed body no further than it has to: to the number, or to the branch where that matters. `None`: it has
    /// to be read whole.
    pub(super) fn of(body: &'a [u8], with_branch: bool) -> Option<Self> {
        let mut seen = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        // Fails as soon as enough is known, which leaves the rest unread.
        let _ = Within { place: Place::Payload, seen: &mut seen, with_branch }.deserialize(&mut json);
        seen.is_enough(with_branch).then_some(seen)
    }

    fn is_enough(&self, with_branch: bool) -> bool {
        !self.action.is_empty() && self.number > 0 && !(with_branch && self.branch.is_empty())
    }
}

/// The objects that a [`Glimpse`] looks into.
#[derive(Clone, Copy)]
enum Place {
    Payload,
    PullRequest,
    Head,
}

/// Reads one of them.
struct Within<'s, 'a> {
    place: Place,
    seen: &'s mut Glimpse<'a>,
    with_branch: bool,
}

impl<'a> DeserializeSeed<'a> for Within<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Within<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { place, seen, with_branch } = self;
        while let Some(key) = map.next_key::<&str>()? {
            match (place, key) {
                (Place::Payload, "action") => seen.action = map.next_value()?,
                (Place::Payload | Place::PullRequest, "number") => seen.number = map.next_value()?,
                (Place::Payload, "pull_request") => {
                    map.next_value_seed(Within { place: Place::PullRequest, seen, with_branch })?;
                }
                (Place::PullRequest, "head") => {
                    map.next_value_seed(Within { place: Place::Head, seen, with_branch })?;
                }
                (Place::Head, "ref") => seen.branch = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if seen.is_enough(with_branch) {
                // The deserializer fails then, since it expects the end: cheaper than an error of ours, which it would format.
                break;
            }
        }
        Ok(())
    }
}

/// The error says what is wrong without repeating the body.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // serde would take the fields of an array in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("The payload must be a JSON object".to_owned());
    }
    let complaint = |error| bounds::cut(&format!("The payload is not what GitHub sends: {error}"), 200);
    serde_json::from_slice(body).map_err(complaint)
}

/// The actions of `pull_request` that can change what a Task shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Opened,
    Closed,
    Reopened,
    ReadyForReview,
    ConvertedToDraft,
    Synchronize,
    Enqueued,
    /// It has left the merge queue: merged too.
    Dequeued,
}

impl Action {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "opened" => Some(Self::Opened),
            "closed" => Some(Self::Closed),
            "reopened" => Some(Self::Reopened),
            "ready_for_review" => Some(Self::ReadyForReview),
            "converted_to_draft" => Some(Self::ConvertedToDraft),
            "synchronize" => Some(Self::Synchronize),
            "enqueued" => Some(Self::Enqueued),
            "dequeued" => Some(Self::Dequeued),
            _ => None,
        }
    }

    /// Returns whether the action changes the state of a pull request, not just its content.
    pub(super) fn moves(self) -> bool {
        self != Self::Synchronize && !self.asks()
    }

    /// Returns whether the payload has nothing of what has happened, so that GitHub has to be asked.
    pub(super) fn asks(self) -> bool {
        matches!(self, Self::Enqueued | Self::Dequeued)
    }
}

/// A delivery of the event `pull_request`
/// (<https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request>).
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    #[serde(default)]
    pub(super) action: Option<String>,
    #[serde(default)]
    number: Option<i64>,
    #[serde(default, deserialize_with = "object")]
    pull_request: Option<PullRequest>,
    #[serde(default, deserialize_with = "object")]
    repository: Option<NamedRepository>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    #[serde(default)]
    number: Option<i64>,
    #[serde(default)]
    node_id: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    draft: Option<bool>,
    #[serde(default)]
    merged: Option<bool>,
    #[serde(default)]
    merged_at: Option<Timestamp>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "object")]
    head: Option<Branch>,
    #[serde(default, deserialize_with = "object")]
    base: Option<Branch>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    #[serde(default, rename = "ref")]
    name: Option<String>,
    #[serde(default)]
    sha: Option<String>,
    /// `null` when a fork has been deleted.
    #[serde(default, deserialize_with = "object")]
    repo: Option<NamedRepository>,
}

/// An object or `null`. serde would take the fields of an array in their order.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or null")
        }

        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Object(PhantomData))
}

impl Payload {
    /// Parses a signed body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        parse(body)
    }

    /// The pull request's number: inside `pull_request`, or next to it.
    pub(super) fn number(&self) -> Option<i64> {
        let inside = self.pull_request.as_ref().and_then(|pull_request| pull_request.number);
        inside.or(self.number).filter(|number| *number > 0)
    }

    /// The repository: the payload's own, or the one that the pull request goes to.
    pub(super) fn repository(&self) -> Option<&NamedRepository> {
        let base = || self.pull_request.as_ref()?.base.as_ref()?.repo.as_ref();
        let named = self.repository.as_ref().or_else(base)?;
        (named.id.is_some() || named.full_name.is_some()).then_some(named)
    }

    /// Reads what the payload says of the pull request; `None` when it tells no state.
    pub(super) fn observed(&self, action: Action) -> Option<ObservedPullRequest> {
        let pull_request = self.pull_request.as_ref()?;
        let merged = pull_request.merged == Some(true) || pull_request.merged_at.is_some();
        let state = match pull_request.state.as_deref() {
            _ if merged => PullRequestState::Merged,
            Some("open") => PullRequestState::Open,
            Some("closed") => PullRequestState::Closed,
            _ => match action {
                Action::Closed => PullRequestState::Closed,
                Action::Synchronize | Action::Enqueued | Action::Dequeued => return None,
                _ => PullRequestState::Open,
            },
        };
        let draft = pull_request.draft.or(match action {
            Action::ConvertedToDraft => Some(true),
            Action::ReadyForReview => Some(false),
            _ => None,
        });
        let head = pull_request.head.as_ref();
        Some(ObservedPullRequest {
            number: self.number()?,
            state,
            draft,
            branch: head.and_then(|head| head.name.clone()),
            head_repository_id: head.and_then(|head| head.repo.as_ref()?.id),
            base_repository_id: self.repository().and_then(|repository| repository.id),
            node_id: pull_request.node_id.clone(),
            url: pull_request.html_url.clone(),
            head_sha: head.and_then(|head| head.sha.clone()),
            stands_on_commit: false,
            marker: pull_request.body.as_deref().and_then(marker_in).map(Box::from),
            merge_sha: pull_request.merge_commit_sha.clone(),
            merged_at: pull_request.merged_at,
            updated_at: pull_request.updated_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(json: &str) -> Payload {
        Payload::parse(json.as_bytes()).expect("a payload")
    }

    fn state(action: Action, json: &str) -> Option<(PullRequestState, Option<bool>)> {
        payload(json).observed(action).map(|observed| (observed.state, observed.draft))
    }

    #[test]
    fn what_a_payload_says_wins_over_what_its_action_implies() {
        use PullRequestState::{Closed, Merged, Open};
        for (action, json, expected) in [
            (Action::Closed, r#"{"pull_request":{"number":1}}"#, Some((Closed, None))),
            (Action::Closed, r#"{"pull_request":{"number":1,"merged":true}}"#, Some((Merged, None))),
            (Action::Closed, r#"{"pull_request":{"number":1,"merged":false}}"#, Some((Closed, None))),
            (
                Action::Closed,
                r#"{"pull_request":{"number":1,"merged_at":"2026-01-01T00:00:00Z"}}"#,
                Some((Merged, None)),
            ),
            // Late: it had been reopened when GitHub made the payload.
            (Action::Closed, r#"{"pull_request":{"number":1,"state":"open"}}"#, Some((Open, None))),
            (Action::Reopened, r#"{"pull_request":{"number":1}}"#, Some((Open, None))),
            (Action::ConvertedToDraft, r#"{"pull_request":{"number":1}}"#, Some((Open, Some(true)))),
            (Action::ReadyForReview, r#"{"pull_request":{"number":1}}"#, Some((Open, Some(false)))),
            (
                Action::ReadyForReview,
                r#"{"pull_request":{"number":1,"draft":true}}"#,
                Some((Open, Some(true))),
            ),
            (Action::Synchronize, r#"{"pull_request":{"number":1}}"#, None),
            (Action::Synchronize, r#"{"pull_request":{"number":1,"state":"closed"}}"#, Some((Closed, None))),
            (Action::Closed, r#"{"number":1}"#, None),
        ] {
            assert_eq!(state(action, json), expected, "{action:?} {json}");
        }
    }

    #[test]
    fn the_number_is_inside_the_pull_request_or_beside_it() {
        assert_eq!(payload(r#"{"pull_request":{"number":42}}"#).number(), Some(42));
        assert_eq!(payload(r#"{"number":42,"pull_request":{}}"#).number(), Some(42));
        assert_eq!(payload(r#"{"number":0}"#).number(), None);
    }

    #[test]
    fn what_tells_whose_a_pull_request_is_is_read_where_it_is_told() {
        let of = |head: &str, rest: &str| {
            let json =
                format!(r#"{{"pull_request":{{"number":1,"head":{{"ref":"b","repo":{head}}},{rest}}}"#);
            let observed = payload(&json).observed(Action::Opened).expect("a state");
            (observed.head_repository_id, observed.base_repository_id, observed.marker)
        };
        let named = r#""body":"Why.\r\n\r\n Slipway-Task: u/1 \r\n"},"repository":{"id":1}"#;
        assert_eq!(of(r#"{"id":2}"#, named), (Some(2), Some(1), Some("Slipway-Task: u/1".into())));
        // A fork that is gone, and a payload that names the repository in the pull request alone.
        assert_eq!(of("null", r#""body":null,"base":{"repo":{"id":1}}}"#), (None, Some(1), None));
        let by_name = r#""body":" \n"},"repository":{"full_name":"o/r"}"#;
        assert_eq!(of(r#"{"full_name":"o/r"}"#, by_name), (None, None, None));
    }

    #[test]
    fn a_glimpse_sees_what_github_puts_first_and_leaves_the_rest() {
        let rest = "[not JSON at all";
        let body = format!(
            r#"{{"action":"closed","number":2,"pull_request":{{"number":2,"body":"x","head":{{"label":"o:b","ref":"b",{rest}"#
        );
        let seen = Glimpse { action: "closed", number: 2, branch: "b" };
        assert_eq!(Glimpse::of(body.as_bytes(), true), Some(seen));
        let inside = r#"{"action":"closed","number":1,"pull_request":{"number":2,"head":{"ref":"b"}}}"#;
        assert_eq!(Glimpse::of(inside.as_bytes(), true), Some(seen), "as the whole payload has it");
        let short = format!(r#"{{"action":"closed","number":2,{rest}"#);
        assert_eq!(Glimpse::of(short.as_bytes(), true), None);
        assert_eq!(Glimpse::of(short.as_bytes(), false), Some(Glimpse { branch: "", ..seen }));
        for whole in [
            r#"{"action":"closed","pull_request":{"merged":true,"number":42}}"#,
            r#"{"action":"closed","number":2,"pull_request":{"head":null}}"#,
            r#"{"action":"clos\u0065d","number":2,"pull_request":{"head":{"ref":"b"}}}"#,
            r#"{"action":"closed","number":0,"pull_request":{"head":{"ref":"b"}}}"#,
            r#"[{"action":"closed","number":2,"pull_request":{"head":{"ref":"b"}}}]"#,
            "",
        ] {
            assert_eq!(Glimpse::of(whole.as_bytes(), true), None, "{whole}");
        }
    }

    #[test]
    fn complaints_are_short_and_name_what_is_wrong() {
        let long = format!(r#"{{"pull_request":{{"number":"{}"}}}}"#, "x".repeat(10_000));
        for body in ["[1]", "null", " ", "{", long.as_str()] {
            let complaint = Payload::parse(body.as_bytes()).expect_err("refused");
            assert!(complaint.starts_with("The payload") && complaint.len() < 210, "{complaint}");
        }
    }
}

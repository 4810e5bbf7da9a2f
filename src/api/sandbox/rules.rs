//! The rules in CEL that the API server holds a Sandbox to, and those before and after a change to each other.
//! Used by the Sandbox's type; imports nothing.

/// Freezes what an E2B sandbox was made from, while one stands for the object or may be in the making.
/// A create that was refused for good left nothing behind: then the spec may be corrected.
pub(super) const FROZEN: &str = "!has(oldSelf.status) || !((has(oldSelf.status.sandboxID) && !(has(oldSelf.status.state) && oldSelf.status.state == 'Gone')) \
    || (has(oldSelf.status.creating) && !(has(oldSelf.status.creating.answer) && oldSelf.status.creating.answer == 'Refused' \
    && has(oldSelf.status.retry) && has(oldSelf.status.retry.stalled) && oldSelf.status.retry.stalled))) \
    || (self.spec.template == oldSelf.spec.template && self.spec.onTimeout == oldSelf.spec.onTimeout \
    && has(self.spec.env) == has(oldSelf.spec.env) && (!has(self.spec.env) || self.spec.env == oldSelf.spec.env) \
    && has(self.spec.metadata) == has(oldSelf.spec.metadata) && (!has(self.spec.metadata) || self.spec.metadata == oldSelf.spec.metadata))";

/// Freezes the key during a create: another key may not see the new sandbox, which would be left behind.
pub(super) const SAME_KEY: &str = "!has(oldSelf.status) || !has(oldSelf.status.creating) \
    || (has(oldSelf.status.creating.answer) && oldSelf.status.creating.answer == 'Refused' \
    && has(oldSelf.status.retry) && has(oldSelf.status.retry.stalled) && oldSelf.status.retry.stalled) \
    || (has(self.spec.credentialsSecretRef) == has(oldSelf.spec.credentialsSecretRef) \
    && (!has(self.spec.credentialsSecretRef) || self.spec.credentialsSecretRef == oldSelf.spec.credentialsSecretRef))";

/// Names under which a snapshot of anybody who shares the operator's key may stand: taken under a key of one's own alone.
pub(super) const OWN_TEMPLATE: &str = "has(self.credentialsSecretRef) \
    || !(self.template.contains('/') || self.template.contains(':') || self.template.startsWith('slipway-'))";

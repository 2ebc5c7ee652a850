//! What a user hears while `publish` runs: a bar on a terminal, events with `--json`, silence in a pipe.

use crate::ui::{Progress, Ui};
use ostler_transfer::{Again, Plan, Reporter};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// Passes the events of a run on.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    ui: &'a Ui,
    progress: Mutex<Option<Progress>>,
}

impl<'a> Events<'a> {
    /// Shows nothing yet.
    pub(crate) const fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            progress: Mutex::new(None),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.set(None);
    }

    fn set(&self, progress: Option<Progress>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Written out at once, for programs that follow the run. An event that cannot be written is dropped: the run
    /// matters more, and its last line will tell.
    fn event(&self, value: &serde_json::Value) {
        if self.ui.json() {
            let _written = self.ui.object(value).and_then(|()| self.ui.flush());
        }
    }
}

impl Reporter for Events<'_> {
    fn planned(&self, plan: &Plan) {
        self.event(&json!({
            "event": "planned",
            "objects": plan.objects.len(),
            "bytes": plan.bytes(),
            "refs": plan.refs.len(),
        }));
        self.set(Some(self.ui.transfer(plan.objects.len() as u64, plan.bytes())));
    }

    fn stored(&self, bytes: u64) {
        if let Some(progress) = &*self.progress.lock().unwrap_or_else(PoisonError::into_inner) {
            progress.stored(bytes);
        }
    }

    fn flipping(&self) {
        self.set(None);
        self.event(&json!({ "event": "flipping" }));
    }

    fn again(&self, reason: &Again) {
        match reason {
            Again::Moved(name) => {
                self.event(&json!({ "event": "again", "moved": name }));
                self.ui.note(&format!(
                    "'{name}' changed at the target meanwhile; computing again"
                ));
            }
            Again::Holes(objects) => {
                let names: Vec<_> = objects.iter().map(ToString::to_string).collect();
                self.event(&json!({ "event": "again", "holes": names }));
                self.ui.note(&format!(
                    "the target lacks {} objects that it should have; sending them",
                    names.len()
                ));
            }
        }
    }

    fn note(&self, text: &str) {
        self.event(&json!({ "event": "note", "text": text }));
        self.ui.note(text);
    }
}

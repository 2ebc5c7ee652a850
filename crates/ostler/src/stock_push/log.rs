//! Lines on standard error as the logging of ostree-push writes them: `LEVEL:otpush.receive:TEXT`.

use crate::ui::Ui;
use std::fmt::Display;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    /// Returns the level of a name as configurations have it.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "NOTSET" | "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARNING" | "WARN" => Self::Warning,
            "ERROR" => Self::Error,
            "CRITICAL" | "FATAL" => Self::Critical,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// Writes what matters enough.
#[derive(Debug)]
pub(super) struct Log<'a> {
    ui: &'a Ui,
    least: Level,
}

impl<'a> Log<'a> {
    pub(super) const fn new(ui: &'a Ui, least: Level) -> Self {
        Self { ui, least }
    }

    pub(super) fn debug(&self, text: impl Display) {
        self.write(Level::Debug, text);
    }

    pub(super) fn info(&self, text: impl Display) {
        self.write(Level::Info, text);
    }

    pub(super) fn warning(&self, text: impl Display) {
        self.write(Level::Warning, text);
    }

    fn write(&self, level: Level, text: impl Display) {
        if level >= self.least {
            self.ui.note(&format!("{}:otpush.receive:{text}", level.name()));
        }
    }
}

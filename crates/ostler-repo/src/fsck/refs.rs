//! The first phases: refs, collection refs, commits and their bindings.

use super::{Check, Commits, Damage, FsckFinding, FsckReport, check};
use crate::bindings::{COLLECTION_BINDING, REF_BINDING, binding_problem};
use crate::error::Result;
use crate::partial::Partial;
use crate::refs::{DamagedRef, RefScope};
use crate::repair::marks::leading_refs;
use ostler_format::{Checksum, CollectionId, CollectionRef, Commit, ObjectName, ObjectType, RefName};
use std::collections::BTreeSet;

/// The commits that were looked at so far.
#[derive(Default)]
pub(super) struct Seen {
    sound: Commits,
    damaged: BTreeSet<Checksum>,
}

impl Check<'_> {
    /// Checks that each ref names a commit that can be read.
    pub(super) fn check_refs(&self, report: &mut FsckReport) -> Result<Seen> {
        let mut seen = Seen::default();
        let survey = self.repo.survey_refs(RefScope::All)?;
        self.note_damaged(survey.damaged.into_values(), report);
        for (refspec, checksum) in survey.refs {
            self.check_ref(
                &refspec.to_string(),
                &checksum,
                (&refspec.name, None),
                &mut seen,
                report,
            )?;
            if self.is_over() {
                break;
            }
        }
        Ok(seen)
    }

    pub(super) fn check_collection_refs(&self, seen: &mut Seen, report: &mut FsckReport) -> Result<()> {
        let survey = self.repo.survey_collection_refs()?;
        self.note_damaged(survey.damaged.into_values(), report);
        for (CollectionRef { collection, name }, checksum) in survey.refs {
            let described = match &collection {
                Some(collection) => format!("({collection}, {name})"),
                None => name.to_string(),
            };
            self.check_ref(&described, &checksum, (&name, collection.as_ref()), seen, report)?;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Notes refs whose files are no refs, each once.
    fn note_damaged(&self, damaged: impl Iterator<Item = DamagedRef>, report: &mut FsckReport) {
        for DamagedRef {
            reference, detail, ..
        } in damaged
        {
            let finding = FsckFinding::Ref { reference, detail };
            if !report.findings.contains(&finding) {
                self.found(finding, report);
            }
        }
    }

    fn check_ref(
        &self,
        described: &str,
        checksum: &Checksum,
        (name, collection): (&RefName, Option<&CollectionId>),
        seen: &mut Seen,
        report: &mut FsckReport,
    ) -> Result<()> {
        let missing = self.look_at(checksum, BTreeSet::new(), seen, report)?;
        if missing {
            self.found(
                FsckFinding::Ref {
                    reference: described.to_owned(),
                    detail: format!("No such metadata object {checksum}.commit"),
                },
                report,
            );
        }
        let Some(commit) = seen.sound.get(checksum) else {
            return Ok(());
        };
        if (self.options.verify_bindings || self.options.verify_back_refs)
            && let Some(problem) = binding_problem(commit, Some(name), collection)
        {
            let detail = format!("Commit {checksum}: {problem}");
            self.found_binding(*checksum, detail, report);
        }
        Ok(())
    }

    /// Reads a commit, unless that was done, and notes damage with the given commits. Returns whether it is
    /// missing.
    fn look_at(
        &self,
        checksum: &Checksum,
        commits: BTreeSet<Checksum>,
        seen: &mut Seen,
        report: &mut FsckReport,
    ) -> Result<bool> {
        if seen.sound.contains_key(checksum) {
            return Ok(false);
        }
        let damage = match check::commit(self.repo, checksum)? {
            Ok(commit) => {
                seen.sound.insert(*checksum, commit);
                return Ok(false);
            }
            Err(damage) => damage,
        };
        let missing = damage == Damage::Missing;
        if seen.damaged.insert(*checksum) {
            let object = ObjectName::new(*checksum, ObjectType::Commit);
            self.found(
                FsckFinding::Object {
                    object,
                    damage,
                    commits,
                    refs: BTreeSet::new(),
                    path: None,
                    places: BTreeSet::new(),
                },
                report,
            );
        }
        Ok(missing)
    }

    /// Adds to each damaged object the refs whose histories need it.
    pub(super) fn name_refs(&self, commits: &Commits, report: &mut FsckReport) {
        let is_object = |finding: &FsckFinding| matches!(finding, FsckFinding::Object { .. });
        if !report.findings.iter().any(is_object) {
            return;
        }
        // Refs that are damaged were found before.
        let refs = self.repo.survey_all_refs().unwrap_or_default().refs;
        let refs: Vec<_> = refs.into_iter().collect();
        let leading = leading_refs(commits, &refs);
        for finding in &mut report.findings {
            if let FsckFinding::Object {
                object,
                commits,
                refs,
                ..
            } = finding
            {
                let needing = commits.iter().chain([&object.checksum]);
                *refs = needing
                    .filter_map(|commit| leading.get(commit))
                    .flatten()
                    .cloned()
                    .collect();
            }
        }
    }

    /// Reads all commits of the repository, and notes which are partial.
    pub(super) fn read_commits(&self, mut seen: Seen, report: &mut FsckReport) -> Result<Commits> {
        for checksum in &self.repo.list_commits(self.options.threads)? {
            self.look_at(checksum, BTreeSet::from([*checksum]), &mut seen, report)?;
            if self.is_over() {
                return Ok(seen.sound);
            }
            match self.repo.is_partial(checksum)? {
                None => {}
                Some(partial) => {
                    report.partial.insert(*checksum);
                    if partial == Partial::Damaged {
                        report.partial_by_fsck.insert(*checksum);
                    }
                }
            }
            if let Some(commit) = seen.sound.get(checksum).filter(|_| self.options.verify_back_refs) {
                self.check_back_refs(checksum, commit, report)?;
            }
        }
        Ok(seen.sound)
    }

    /// Checks that the refs to which a commit is bound name it.
    fn check_back_refs(&self, checksum: &Checksum, commit: &Commit, report: &mut FsckReport) -> Result<()> {
        let collection = commit.metadata.get_str(COLLECTION_BINDING);
        for name in commit.metadata.get_strings(REF_BINDING).unwrap_or_default() {
            let described = match collection {
                Some(collection) => format!("Collection–ref ({collection}, {name})"),
                None => format!("Ref ‘{name}’"),
            };
            let problem = match self.resolve_binding(name, collection)? {
                Some(found) if found == *checksum => continue,
                Some(_) => "does not resolve to that commit",
                None => "does not exist",
            };
            let detail = format!("{described} in bindings for commit {checksum} {problem}");
            self.found_binding(*checksum, detail, report);
        }
        Ok(())
    }

    fn found_binding(&self, commit: Checksum, detail: String, report: &mut FsckReport) {
        self.found(FsckFinding::Binding { commit, detail }, report);
    }

    fn resolve_binding(&self, name: &str, collection: Option<&str>) -> Result<Option<Checksum>> {
        let Some(collection) = collection else {
            return match self.repo.resolve_rev(name) {
                Ok(checksum) => Ok(Some(checksum)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            };
        };
        let refs = self.repo.survey_collection_refs()?.refs;
        let wanted = |reference: &CollectionRef| {
            reference.name.as_str() == name
                && reference
                    .collection
                    .as_ref()
                    .is_some_and(|found| found.as_str() == collection)
        };
        Ok(refs
            .into_iter()
            .find(|(reference, _)| wanted(reference))
            .map(|(_, checksum)| checksum))
    }
}

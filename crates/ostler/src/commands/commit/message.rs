//! What a commit says about itself: subject and description, from options, a file or an editor.
//!
//! The editor is that of stock: `OSTREE_EDITOR`, else `VISUAL` where the terminal can move its cursor, else `EDITOR`, else `vi`; a
//! line of the shell, which is given the name of a file. Lines that begin with `#` do not count, nor do blank ones at the beginning,
//! between subject and description, and at the end; nor blanks at the end of a line.

use super::{Args, text_of};
use crate::context::Context;
use anyhow::{Context as _, bail};
use ostler_repo::fs::Dir;
use std::fs;
use std::path::Path;
use std::process::Command;

const INSTRUCTIONS: &str = "
# Please enter the commit message for your changes. The first line will
# become the subject, and the remainder the body. Lines starting
# with '#' will be ignored, and an empty message aborts the commit.
";

/// The file that is edited.
const FILE: &str = "COMMIT_EDITMSG";

/// Returns subject and description.
pub(super) fn of(context: &Context, args: &Args) -> anyhow::Result<(String, String)> {
    if args.editor {
        return edited(context, args);
    }
    let body = match &args.body_file {
        Some(file) => text_of(file)?,
        None => args.body.clone().unwrap_or_default(),
    };
    Ok((args.subject.clone().unwrap_or_default(), body))
}

fn edited(context: &Context, args: &Args) -> anyhow::Result<(String, String)> {
    let Some(editor) = context.environment().editor() else {
        bail!("Terminal is dumb, but EDITOR unset");
    };
    let mut text = INSTRUCTIONS.to_owned();
    if let Some(subject) = &args.subject {
        text.push_str(subject);
        text.push('\n');
    }
    let parent = context.environment().temporary_directory();
    let failed = || format!("cannot make a file to edit in {}", parent.display());
    let scratch = Dir::open(&parent).with_context(failed)?;
    let name = scratch
        .make_random_dir("ostler-commit-", 0o700)
        .with_context(failed)?;
    let path = parent.join(&name).join(FILE);
    let answer = fs::write(&path, text)
        .with_context(failed)
        .and_then(|()| run(context, &editor, &path))
        .and_then(|()| text_of(&path));
    // What is left in the temporary directory harms nobody.
    let _removed = scratch.remove_tree(&name);
    match parse(&answer?) {
        Some(message) => Ok(message),
        None => bail!("Aborting commit due to empty commit subject."),
    }
}

/// Runs the editor and waits for its end.
fn run(context: &Context, editor: &str, path: &Path) -> anyhow::Result<()> {
    context.ui().flush()?;
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path)
        .status()
        .context("cannot run /bin/sh")?;
    if !status.success() {
        bail!("There was a problem with the editor '{editor}': {status}");
    }
    Ok(())
}

/// Reads what was edited; `None` without a subject.
fn parse(text: &str) -> Option<(String, String)> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::trim_end);
    let mut lines = lines.skip_while(|line| line.is_empty());
    let subject = lines.next()?.to_owned();
    let body: Vec<&str> = lines.skip_while(|line| line.is_empty()).collect();
    Some((subject, body.join("\n").trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_subject_and_the_rest_the_description() {
        for (text, message) in [
            ("", None),
            (INSTRUCTIONS, None),
            ("# only\n  \n", None),
            ("S", Some(("S", ""))),
            (
                "\n\nS  \n# c\n  line 2\n\nbody\n#x\n #y\n\n\n",
                Some(("S", "  line 2\n\nbody\n #y")),
            ),
            ("   S  \n   \n\n   b\t\n   ", Some(("   S", "   b"))),
        ] {
            let message = message.map(|(subject, body)| (subject.to_owned(), body.to_owned()));
            assert_eq!(parse(text), message, "{text:?}");
        }
    }
}

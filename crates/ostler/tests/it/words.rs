//! The words of error messages that scripts look for: stock's and ours both have them.

use crate::fixture;
use crate::programs::{ended, link};
use ostler_testkit::command::{command, fail};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::Path;

/// Asserts for each line of arguments, separated by spaces, that both programs fail with the words behind it.
#[track_caller]
fn both_say(directory: &Path, table: &[(&str, &str)]) {
    let link = link(directory);
    for (arguments, words) in table {
        for program in [Path::new("ostree"), &link] {
            let mut command = command(program);
            command.current_dir(directory).args(arguments.split(' '));
            let printed = fail(&mut command);
            let error = printed.lines().filter(|line| line.contains("error: "));
            assert!(
                error.clone().any(|line| line.contains(words)),
                "{program:?} {arguments}: {printed}"
            );
        }
    }
}

#[test]
fn commands_that_read_fail_in_the_words_of_stock() {
    let directory = fixture::repository();
    both_say(
        directory.path(),
        &[
            ("refs", "Command requires a --repo argument"),
            ("nonsense", "Unknown command 'nonsense'"),
            ("-v", "No command specified"),
            ("--repo=repo show nowhere", "Refspec 'nowhere' not found"),
            (
                "--repo=repo show --print-metadata-key=nothing main",
                "No such metadata key 'nothing'",
            ),
            (
                "--repo=repo show --print-detached-metadata-key=note main",
                "No detached metadata for commit",
            ),
            (
                "--repo=repo show --print-sizes main",
                "No metadata key ostree.sizes in commit",
            ),
            (
                "--repo=repo show --print-variant-type=u repo/nowhere",
                "No such file or directory",
            ),
            ("--repo=repo rev-parse", "REV must be specified"),
            ("--repo=repo rev-parse -S", "Multiple commit objects found"),
            (
                "--repo=repo rev-parse -S main",
                "Cannot specify arguments with --single",
            ),
            (
                "--repo=repo ls main^^ /sub/nothing",
                "Inspecting path '/sub/nothing': ",
            ),
            ("--repo=repo ls main^^ /sub/nothing", "No such file or directory"),
            ("--repo=repo ls main^^ /a/nothing", "Not a directory"),
            (
                "--repo=repo ls 0000000000000000000000000000000000000000000000000000000000000000",
                "No such metadata object 0000000000000000000000000000000000000000000000000000000000000000.commit",
            ),
            (
                "--repo=repo show 0000000000000000000000000000000000000000000000000000000000000000",
                "Couldn't find file object '0000000000000000000000000000000000000000000000000000000000000000'",
            ),
            ("--repo=repo cat main^^ /sub", "Can't open directory"),
            ("--repo=repo cat main^^ /nothing", "No such file or directory"),
            ("--repo=repo diff main ./nothing", "No such file or directory"),
            (
                "--repo=repo summary",
                "No option specified; use -u to update summary",
            ),
        ],
    );
    let empty = StockRepo::init(&directory.path().join("empty"), "bare-user");
    assert!(empty.path().exists());
    both_say(
        directory.path(),
        &[("--repo=empty rev-parse -S", "No commit objects found")],
    );
}

#[test]
fn configuration_and_refs_fail_in_the_words_of_stock() {
    let directory = fixture::repository();
    both_say(
        directory.path(),
        &[
            (
                "--repo=repo config get core.nothing",
                "Key file does not have key “nothing” in group “core”",
            ),
            (
                "--repo=repo config get nothing.nothing",
                "Key file does not have group “nothing”",
            ),
            (
                "--repo=repo config get core.mode more",
                "Too many arguments given",
            ),
            ("--repo=repo config set core.x y z", "Too many arguments given"),
            (
                "--repo=repo config unset nothing",
                "Key must be of the form \"sectionname.keyname\"",
            ),
            (
                "--repo=repo refs --create=main main",
                "--create specified but ref main already exists",
            ),
            (
                "--repo=repo refs --create=new",
                "You must specify a revision when creating a new ref",
            ),
            (
                "--repo=repo refs --create=new main sized",
                "You must specify only 1 existing ref when creating a new ref",
            ),
            ("--repo=repo refs --create=a~b main", "Invalid refspec a~b"),
            ("--repo=repo refs main^", "Invalid refspec main^"),
            ("--repo=repo refs --delete main^", "Invalid refspec main^"),
            (
                "--repo=repo refs --create=origin:al -A main",
                "Cannot create alias to remote ref: origin",
            ),
            (
                "--repo=repo refs --create=al -A nothing",
                "Cannot create alias to non-existent ref: nothing",
            ),
            (
                "--repo=repo refs --delete",
                "At least one PREFIX is required when deleting refs",
            ),
            (
                "--repo=repo refs --delete os/x86_64/stable",
                "Ref 'os/x86_64/stable' has an active alias: 'latest'",
            ),
        ],
    );
}

#[test]
fn checkouts_fail_in_the_words_of_stock() {
    let directory = fixture::repository();
    let full = StockRepo::init(&directory.path().join("full"), "bare");
    let user = StockRepo::init(&directory.path().join("user"), "bare-user");
    for repo in [&full, &user] {
        repo.commit("main", &directory.path().join("tree"));
    }
    Tree::at(&directory.path().join("there")).file("a", "another", 0o644);
    both_say(
        directory.path(),
        &[
            ("--repo=repo checkout main there", "mkdirat: File exists"),
            ("--repo=repo checkout main not/there", "No such file or directory"),
            ("--repo=repo checkout nowhere out", "Refspec 'nowhere' not found"),
            (
                "--repo=repo checkout --subpath=/nothing main out",
                "No such file or directory",
            ),
            (
                "--repo=repo checkout -H --union --union-add main out",
                "Cannot specify both --union and --union-add",
            ),
            (
                "--repo=repo checkout -H --union --union-identical main out",
                "Cannot specify both --union and --union-identical",
            ),
            (
                "--repo=repo checkout -H --union-add --union-identical main out",
                "Cannot specify both --union-add and --union-identical",
            ),
            (
                "--repo=repo checkout -H -C main out",
                "Cannot specify both --require-hardlinks and --force-copy",
            ),
            (
                "--repo=repo checkout --union-identical main out",
                "--union-identical requires --require-hardlinks",
            ),
            (
                "--repo=repo checkout --selinux-prefix=/ main out",
                "Cannot specify --selinux-prefix without --selinux-policy",
            ),
            (
                "--repo=repo checkout --skip-list=nothing main out",
                "No such file or directory",
            ),
            (
                "--repo=repo checkout --from-file=nothing out",
                "No such file or directory",
            ),
            (
                "--repo=user checkout -H main out-0",
                "User repository mode requires user checkout mode to hardlink",
            ),
            (
                "--repo=full checkout -H -U main out-1",
                "Bare repository mode cannot hardlink in user checkout mode",
            ),
            (
                "--repo=repo checkout -H -U main out-2",
                "Bare repository mode cannot hardlink in user checkout mode",
            ),
            (
                "--repo=full checkout -H --union-identical main there",
                "File exists",
            ),
        ],
    );
}

#[test]
fn wrong_command_lines_are_refused_in_the_words_of_stock() {
    let directory = fixture::repository();
    both_say(
        directory.path(),
        &[
            (
                "--repo=repo cat main",
                "A COMMIT and at least one PATH argument are required",
            ),
            ("--repo=repo checkout", "COMMIT must be specified"),
            ("checksum", "A filename must be given"),
            ("--repo=repo config", "OPERATION must be specified"),
            ("--repo=repo config nonsense", "Unknown operation nonsense"),
            ("--repo=repo config get", "KEY must be specified"),
            ("--repo=repo config set core.x", "KEY and VALUE must be specified"),
            ("--repo=repo config unset", "KEY must be specified"),
            ("--repo=repo diff", "REV must be specified"),
            ("--repo=repo export", "A COMMIT argument is required"),
            ("--repo=repo log", "A rev argument is required"),
            ("--repo=repo ls", "An COMMIT argument is required"),
            ("--repo=repo pull-local", "DESTINATION must be specified"),
            ("--repo=repo remote add x", "NAME and URL must be specified"),
            ("--repo=repo remote delete", "NAME must be specified"),
            ("--repo=repo remote show-url", "NAME must be specified"),
            ("--repo=repo reset main", "A REF and COMMIT argument is required"),
            ("--repo=repo show", "An object argument is required"),
            ("--repo=repo refs --nonsense", "Unknown option --nonsense"),
            ("--repo=repo rev-parse -x", "Unknown option -x"),
            ("--repo=repo refs --create", "Missing argument for --create"),
            ("--repo=repo commit -bNAME tree", "Unknown option -bNAME"),
            ("--repo=repo commit -b", "Missing argument for -b"),
            ("--repo=repo commit -bs x", "Error parsing option -s"),
            ("--repo=repo commit -V", "Unknown option -V"),
            (
                "--repo=repo prune --depth=x",
                "Cannot parse integer value “x” for --depth",
            ),
            (
                "--repo=repo pull-local --depth= repo",
                "Cannot parse integer value “” for --depth",
            ),
        ],
    );
}

#[test]
fn commits_fail_in_the_words_of_stock() {
    let directory = fixture::repository();
    both_say(
        directory.path(),
        &[
            (
                "--repo=repo commit tree",
                "A branch must be specified with --branch, or use --orphan",
            ),
            ("--repo=repo commit -b a~b tree", "Invalid refspec a~b"),
            // What follows an option is its value, whatever it begins with.
            ("--repo=repo commit -b --orphan tree", "Invalid refspec --orphan"),
            (
                "--repo=repo commit -b new nothing",
                "opendir(nothing): No such file or directory",
            ),
            (
                "--repo=repo commit -b new --owner-uid=x tree",
                "Cannot parse integer value “x” for --owner-uid",
            ),
            (
                "--repo=repo commit -b new --fsync=x tree",
                "Invalid boolean argument 'x'",
            ),
            (
                "--repo=repo commit -b new --tree=x",
                "Missing type in tree specification 'x'",
            ),
            (
                "--repo=repo commit -b new --tree=x=y",
                "Invalid tree type specification 'x'",
            ),
            ("--repo=repo commit -b new --tree=ref=x", "Refspec 'x' not found"),
            (
                "--repo=repo commit -b new --timestamp=x~y tree",
                "Could not parse 'x~y'",
            ),
            (
                "--repo=repo commit -b new --add-metadata-string=x tree",
                "Missing '=' in KEY=VALUE metadata 'x'",
            ),
            (
                "--repo=repo commit -b main --keep-metadata=x tree",
                "Missing metadata key 'x' from commit '",
            ),
            (
                "--repo=repo commit -b new --keep-metadata=x tree",
                "Either --branch or --parent must be specified when using --keep-metadata",
            ),
            (
                "--repo=repo commit -b new --canonical-permissions --owner-uid=5 tree",
                "Cannot specify both --canonical-permissions and non-zero --owner-uid",
            ),
            ("--repo=repo rev-parse main^^^^", "has no parent"),
            ("--repo=repo rev-parse a~b", "Invalid refspec a~b"),
            (
                "--repo=repo cat main /nothing",
                "No such file or directory: /nothing",
            ),
        ],
    );
}

/// Command lines of every kind, each on what the ones before it left; `~` is a space.
const LINES: &str = "\
    --repo=repo commit -b one --timestamp=@1 --fsync=FALSE tree
    --repo=repo commit -b one/two tree
    --repo=repo commit -b two --timestamp=@2 --tree=ref=one --tree=dir=overlay --no-bindings
    --repo=repo commit -b two --timestamp=@3 --skip-if-unchanged --tree=ref=two
    --repo=repo commit -b two --tree=tar=nothing
    --repo=repo commit -b two --timestamp=never tree
    --repo=repo commit -b two --owner-uid=0x5 --timestamp=@4 tree
    --repo=repo commit -b two --base=nothing tree
    --repo=repo commit -b two --statoverride=nothing tree
    --repo=repo commit -b three -s Subject --timestamp=@5 tree extra
    --repo=repo commit --parent=none -b two --timestamp=@6 tree
    --repo=repo commit -b beef --timestamp=@6 tree/a
    --repo=repo log two extra
    --repo=repo log -- two
    --repo=repo show two --raw
    --repo=repo show -B two
    --repo=repo show --print-metadata-key=ostree.ref-binding one
    --repo=repo show --print-metadata-key=ostree.ref-binding two
    --repo=repo rev-parse one two
    --repo=repo rev-parse one nothing
    --repo=repo rev-parse --single
    --repo=repo ls -RCXd one /sub /a
    --repo=repo ls one /a/b
    --repo=repo cat one /a /sub/run
    --repo=repo cat one /sub/loop/x
    --repo=repo diff one two --stats
    --repo=repo diff one ./tree --no-xattrs --owner-uid=0 --owner-gid=0
    --repo=repo diff one ./nothing
    --repo=repo checkout -U one out
    --repo=repo checkout -U one out
    --repo=repo checkout -U --union one out
    --repo=repo checkout -U --union-add --whiteouts one out
    --repo=repo checkout -U --subpath=/nothing one out2
    --repo=repo checkout -U --subpath=sub one out3 extra
    --repo=repo checkout -UH one out4
    --repo=repo checkout -U --fsync=maybe one out5
    --repo=repo refs --list on extra
    --repo=repo refs --create=four one
    --repo=repo refs --create=four one
    --repo=repo refs --create=four two --force
    --repo=repo refs -A --create=five four
    --repo=repo refs --delete four
    --repo=repo refs --delete five nothing
    --repo=repo refs --collections
    --repo=repo reset two one
    --repo=repo reset nothing one
    --repo=repo config get core.mode extra
    --repo=repo config set core.x
    --repo=repo config unset nothing.nothing
    --repo=repo init --mode=bare
    --repo=other init --mode=bare-user-only extra
    --repo=other init --mode=nothing
    --repo=third init --mode=nothing
    --repo=other pull-local repo one --depth=0x1 --disable-fsync
    --repo=other pull-local repo nothing
    --repo=other pull-local repo --bareuseronly-files --commit-metadata-only two
    --repo=other pull-local nothing
    --repo=repo export one -o exported.tar --subpath=/sub --prefix=x/
    --repo=repo export one -o nothing/exported.tar
    --repo=repo summary
    --repo=repo summary -u -m a.b=1
    --repo=repo summary -u -m a.b
    --repo=repo fsck -qa --verify-bindings
    --repo=other fsck
    --repo=repo prune --refs-only --depth=0 --no-prune
    --repo=repo prune --depth
    --repo=repo prune --static-deltas-only
    --repo=repo prune --retain-branch-depth=one
    --repo=repo prune --only-branch=nothing
    --repo=repo prune --refs-only --depth=1
    --repo=repo create-usb nothing
    --repo=repo find-remotes --finders=nothing org.example.Os main
    checksum tree/a
    checksum tree/sub extra
    checksum --repo=repo tree/a
    checksum nothing
    --repo=nothing refs
    --repo=repo nothing
    --repo= refs
    refs
    --help
    refs --help
    --version
    -v";

#[test]
fn exit_statuses_are_those_of_stock() {
    let [stock, ours] = [fixture::repository(), fixture::repository()];
    let program = link(ours.path());
    let others: Vec<_> = LINES
        .lines()
        .map(str::trim)
        .map(|line| {
            let expected = ended("ostree", stock.path(), line).code;
            (line, ended(&program, ours.path(), line).code, expected)
        })
        .filter(|(_, code, expected)| code != expected)
        .collect();
    assert_eq!(others, [], "lines, our statuses and those of stock");
}

//! The command line: subcommands, our own flags, and those of Seldon's executor in all their spellings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::dlq::args::DlqArgs;
use super::exit::Exit;
use crate::config::flags;

/// What `millrace --help` says.
pub const HELP: &str = "\
millrace: predictions from a Kafka topic. Requests in, answers out, nothing lost.

Usage:
  millrace demo                          the whole system in one process, no broker needed
  millrace run -f deployment.yaml        run a SeldonDeployment with serverType: kafka
  millrace run -c config.yaml            run a configuration file, alone or beside -f
  millrace check -f deployment.yaml      say all that is wrong with it; --online asks brokers and models too
  millrace graph -f deployment.yaml      draw its graph, here, in mermaid or as a picture
  millrace predict -f deployment.yaml request.json     send one request through the graph, without Kafka
  millrace dlq list -f deployment.yaml   list dead letters; `dlq show` one, `dlq count` them by reason
  millrace dlq replay -f deployment.yaml send dead letters again, each once: to the input topic, or --through-graph

Without a subcommand, the flags of Seldon's executor are taken as they are: `millrace --sdep … --server_type kafka …`.
Options come from flags, the environment (MILLRACE__KAFKA__BROKERS, KAFKA_BROKER), the SeldonDeployment and the file.

  millrace run --help                    flags
  millrace check --defaults              every option, with its meaning and default
  millrace --version
";

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Run the service.
    Run(Source),
    /// Check the configuration.
    Check(CheckArgs),
    /// Draw the graph.
    Graph(GraphArgs),
    /// Send one request through the graph.
    Predict(PredictArgs),
    /// Look at dead letters, or send them again.
    Dlq(Box<DlqArgs>),
    /// Show the whole system in one process.
    Demo(DemoArgs),
}

/// What came of the arguments.
#[derive(Debug)]
pub enum Parsed {
    /// Something to do.
    Action(Action),
    /// Something to say: help, version, or what is wrong.
    Text {
        /// What to say.
        text: String,
        /// How to end.
        exit: Exit,
    },
}

#[derive(Parser)]
#[command(name = "millrace", override_help = HELP, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Verb>,
    #[command(flatten)]
    source: Source,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the service
    Run(Source),
    /// Says all that is wrong with a configuration, without connecting to anything
    Check(CheckArgs),
    /// Draws the inference graph of a configuration
    Graph(GraphArgs),
    /// Sends one request through the graph, without Kafka, and tells answer, route and time of every call
    Predict(PredictArgs),
    /// Lists, shows, counts and replays dead letters
    Dlq(Box<DlqArgs>),
    /// Shows the whole system in one process, no broker needed
    Demo(DemoArgs),
}

/// Where the settings come from.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// SeldonDeployment to run
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where secretKeyRef and configMapKeyRef lead: DIR/NAME/KEY
    #[arg(long = "secrets-dir", value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Where a node's server is
    #[arg(long = "endpoint", value_name = "NODE=HOST:PORT")]
    pub endpoints: Vec<String>,
    /// Any option, such as kafka.start=latest
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Flags of the executor.
    #[command(flatten)]
    pub executor: ExecutorFlags,
}

/// What `check` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct CheckArgs {
    /// Asks the brokers and the models too
    #[arg(long)]
    pub online: bool,
    /// Shows every value with where it was given; secrets are hidden
    #[arg(long)]
    pub show: bool,
    /// Prints the default configuration, which explains every option, and ends
    #[arg(long)]
    pub defaults: bool,
    /// Where the settings come from.
    #[command(flatten)]
    pub source: Source,
}

/// What `graph` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct GraphArgs {
    /// What to draw with
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// Where to write it; without it, to standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the settings come from.
    #[command(flatten)]
    pub source: Source,
}

/// What `predict` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct PredictArgs {
    /// The request: `.json`, `.pb` (protobuf), or - for standard input
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
    /// Where to write the answer's bytes; without it, to standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A header of the record, such as proto-name=tensorflow.serving.ClassificationRequest
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<String>,
    /// Where the settings come from.
    #[command(flatten)]
    pub source: Source,
}

/// What a graph is drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A tree of lines
    #[default]
    Terminal,
    /// Text that GitHub and documentation tools draw
    Mermaid,
    /// A picture
    Svg,
}

/// What `demo` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct DemoArgs {
    /// Ends by itself after this many seconds, with a summary
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Requests a second
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub rate: u32,
    /// Crashes an actor every few seconds, to show that nothing is lost
    #[arg(long)]
    pub crash: bool,
    /// Admin port; 0 lets the system choose
    #[arg(long = "http_port", visible_alias = "http-port", value_name = "PORT", default_value_t = 8000)]
    pub http_port: u16,
}

/// Flags of Seldon's executor: name without dashes, value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutorFlags(pub Vec<(String, String)>);

impl Args for ExecutorFlags {
    fn augment_args(command: Command) -> Command {
        flags().fold(command, |command, flag| {
            let arg = Arg::new(flag.name)
                .long(flag.name)
                .value_name("VALUE")
                .help(StyledStr::from(flag.help))
                .action(ArgAction::Set)
                // The last one counts, as it does in the executor.
                .overrides_with(flag.name)
                .allow_negative_numbers(true)
                .hide_short_help(!flag.effective)
                .help_heading("Flags of Seldon's executor");
            command.arg(if flag.boolean {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ExecutorFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |name: &'static str| matches.get_one::<String>(name).map(|value| (name.to_owned(), value.clone()));
        Ok(Self(flags().filter_map(|flag| given(flag.name)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Reads arguments, the first of which is the program's name.
pub fn parse(arguments: Vec<OsString>) -> Parsed {
    let arguments: Vec<OsString> = arguments.into_iter().map(as_long_flag).collect();
    if arguments[1..].iter().any(|argument| argument == "--version" || argument == "-V") {
        return Parsed::Text { text: version(), exit: Exit::Done };
    }
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Parsed::Action(match cli.command {
            None => Action::Run(cli.source),
            Some(Verb::Run(source)) => Action::Run(source),
            Some(Verb::Check(arguments)) => Action::Check(arguments),
            Some(Verb::Graph(arguments)) => Action::Graph(arguments),
            Some(Verb::Predict(arguments)) => Action::Predict(arguments),
            Some(Verb::Dlq(arguments)) => Action::Dlq(arguments),
            Some(Verb::Demo(arguments)) => Action::Demo(arguments),
        }),
        Err(error) => {
            let helps = matches!(error.kind(), ErrorKind::DisplayHelp);
            Parsed::Text { text: error.to_string(), exit: if helps { Exit::Done } else { Exit::Usage } }
        }
    }
}

/// `-http_port`, `--http-port` and `--secrets_dir` as the one spelling that is declared.
fn as_long_flag(argument: OsString) -> OsString {
    const OWN: [&str; 5] = ["file", "config", "secrets-dir", "endpoint", "set"];
    let Some(text) = argument.to_str() else { return argument };
    let Some(bare) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) else { return argument };
    let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
    let same = |known: &str| known.replace('-', "_") == name.replace('-', "_");
    let known = OWN.into_iter().chain(flags().map(|flag| flag.name)).find(|known| same(known));
    match (known, value) {
        (Some(known), Some(value)) => format!("--{known}={value}").into(),
        (Some(known), None) => format!("--{known}").into(),
        (None, _) => argument,
    }
}

/// The version and that of the client library.
pub fn version() -> String {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!("millrace {} (librdkafka {librdkafka})", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(std::iter::once("millrace").chain(line.split_whitespace()).map(OsString::from).collect())
    }

    fn source(line: &str) -> Source {
        match parsed(line) {
            Parsed::Action(Action::Run(source)) => source,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn text(line: &str) -> (String, Exit) {
        match parsed(line) {
            Parsed::Text { text, exit } => (text, exit),
            other @ Parsed::Action(_) => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_declaration_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_operators_container_arguments_run_the_service() {
        let source = source(
            "--sdep d --namespace ns --predictor p --http_port 8000 --grpc_port 5001 --protocol tensorflow \
             --transport rest --prometheus_path /prometheus --server_type kafka --log_work_buffer_size 10000 \
             --log_write_timeout_ms 2000 --full_health_checks=false",
        );
        let value = |name: &str| source.executor.0.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(value("sdep"), "d");
        assert_eq!(value("full_health_checks"), "false");
        assert_eq!(source.executor.0.len(), 12);
    }

    #[test]
    fn every_spelling_of_a_flag_is_the_same_flag() {
        for spelling in
            ["-http_port 1", "--http_port 1", "-http_port=1", "--http_port=1", "--http-port 1", "run -http_port 1"]
        {
            assert_eq!(source(spelling).executor.0, [("http_port".to_owned(), "1".to_owned())], "{spelling}");
        }
        assert_eq!(source("-debug -kafka_auto_commit=false").executor.0.len(), 2);
        assert_eq!(source("--http_port 1 --http_port 2").executor.0, [("http_port".to_owned(), "2".to_owned())]);
        assert_eq!(source("-kafka_workers -1").executor.0, [("kafka_workers".to_owned(), "-1".to_owned())]);
    }

    #[test]
    fn files_are_given_short_or_long() {
        for line in ["run -f d.yaml -c c.yaml", "-file d.yaml --config=c.yaml", "--file d.yaml -c c.yaml"] {
            let source = source(line);
            assert_eq!((source.file, source.config), (Some("d.yaml".into()), Some("c.yaml".into())), "{line}");
        }
        let source = source("run --secrets_dir s --endpoint a=b:1 --endpoint c=d:2 --set x=1");
        assert_eq!((source.secrets, source.endpoints.len(), source.set.len()), (Some("s".into()), 2, 1));
    }

    #[test]
    fn help_and_version_are_no_faults() {
        assert_eq!(text("--help").1, Exit::Done);
        assert!(text("--help").0.contains("millrace run -f"));
        assert!(text("run --help").0.contains("--secrets-dir"));
        assert!(text("--version").0.contains("librdkafka"));
        assert_eq!(text("--nonsense").1, Exit::Usage);
        assert_eq!(text("rum").1, Exit::Usage);
        assert_eq!(text("demo --rate x").1, Exit::Usage);
    }

    #[test]
    fn a_graph_has_a_format_and_a_file() {
        for (line, format, output) in [
            ("graph -f d.yaml", GraphFormat::Terminal, None),
            ("graph --format mermaid -c c.yaml", GraphFormat::Mermaid, None),
            ("graph -f d.yaml --format=svg -o g.svg", GraphFormat::Svg, Some("g.svg".into())),
        ] {
            match parsed(line) {
                Parsed::Action(Action::Graph(graph)) => {
                    assert_eq!((graph.format, graph.output), (format, output), "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        assert_eq!(text("graph --format dot").1, Exit::Usage);
    }

    #[test]
    fn the_demo_has_its_arguments() {
        match parsed("demo --seconds 5 --rate 10 --crash --http_port 0") {
            Parsed::Action(Action::Demo(demo)) => {
                assert_eq!((demo.seconds, demo.rate, demo.crash, demo.http_port), (Some(5), 10, true, 0));
            }
            other => panic!("{other:?}"),
        }
    }
}

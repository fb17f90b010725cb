//! What a record costs: processor time of the service, rate and memory, with small requests, a model that answers at once and
//! 1,000 records in flight. No test of a guarantee: `scripts/cost.sh` runs it, with optimisation and nothing else beside it.

mod support;

use std::time::{Duration, Instant};

use support::kafka::Broker;
use support::requests::Protocol;
use support::scenario::Scenario;
use support::service::Service;
use support::wait;

const PATIENCE: Duration = Duration::from_mins(5);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Ticks of processor time by name of the thread, those that used most first.
fn threads(process: u32) -> Vec<(String, u64)> {
    let mut threads: Vec<(String, u64)> = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs").flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().skip(11).take(2);
        threads.push((read("comm").trim().to_owned(), fields.filter_map(|n| n.parse::<u64>().ok()).sum()));
    }
    threads.sort_by_key(|(_, ticks)| std::cmp::Reverse(*ticks));
    threads.retain(|(_, ticks)| *ticks > 0);
    threads
}

#[test]
#[ignore = "measures, and wants the machine for itself: scripts/cost.sh"]
fn a_record_costs() {
    let records = number("MILLRACE_COST_RECORDS", 100_000);
    let in_flight = number("MILLRACE_COST_IN_FLIGHT", 1_000);
    let delay = number("MILLRACE_COST_MODEL_MS", 0);
    let warm = records / 10;

    let broker = Broker::plain();
    let scenario = Scenario::new(&broker, "cost", 4).protocol(Protocol::Seldon);
    scenario.double.change(|rules| rules.delay = Duration::from_millis(delay));
    let config = scenario
        .config()
        .set("graph", serde_json::json!({"name": "double", "type": "MODEL"}))
        .without("nodes/add-one")
        .set("limits/in_flight_records", in_flight);
    let mut config = config;
    for property in std::env::var("MILLRACE_COST_PRODUCER").unwrap_or_default().split_terminator(',') {
        let (name, value) = property.split_once('=').expect("name=value,name=value");
        config = config.set(&format!("kafka/producer/properties/{name}"), value);
    }
    let mut requests = scenario.requests().keys(records);
    requests.send(&broker, &scenario.input, warm);
    let service = Service::start(&config);

    let reaches = |count: u64| {
        wait::until(PATIENCE, &format!("{count} records are answered"), || {
            Some(service.outcomes("answered")).filter(|answered| *answered >= count)
        })
    };
    let first = reaches(warm);
    // The backlog must be there whole before the first of it is read.
    service.signal("STOP");
    requests.stem = format!("{}-measured", scenario.name);
    requests.send(&broker, &scenario.input, records);
    service.signal("CONT");
    let (begun, cpu) = (Instant::now(), service.cpu_time());
    let last = reaches(warm + records);
    let (wall, cpu) = (begun.elapsed(), service.cpu_time().saturating_sub(cpu));
    let (now, most) = service.memory();
    assert_eq!(last, warm + records);

    let counted = (last - first) as f64;
    println!("process            {}", service.pid());
    println!("records            {counted:.0}");
    println!("rate               {:.0} records/s", counted / wall.as_secs_f64());
    println!("cpu per record     {:.1} µs (user and system of the service)", cpu.as_secs_f64() * 1e6 / counted);
    println!("cores used         {:.2}", cpu.as_secs_f64() / wall.as_secs_f64());
    for (thread, ticks) in threads(service.pid()) {
        // Linux shows these in hundredths of a second on every machine.
        println!("  {thread:<16} {:.1} µs", ticks as f64 * 1e4 / (counted + first as f64));
    }
    println!("most calls at once {}", scenario.double.most_running());
    println!("memory             {} MiB now, {} MiB at most", now >> 20, most >> 20);
    service.stop();
}

//! `traffic`: exchanges data with the responder at the other end of the software adapter's cable and checks every byte.
//!
//! Runs in the guest of the conformance suite, so it needs nothing but the kernel.

mod patterns;
mod tcp;
mod udp;

use std::net::IpAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

/// Longest wait for the responder.
const PATIENCE: Duration = Duration::from_secs(20);

const USAGE: &str = "usage: traffic udp ADDRESS COUNT LONGEST FLOWS
       traffic tcp-echo|tcp-send|tcp-receive ADDRESS BYTES
       traffic multicast OWN-ADDRESS RESPONDER GROUP";

type Outcome = Result<String, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("traffic {}: {error}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["udp", address, count, longest, flows] => udp::echo(
            parse(address)?,
            parse(count)?,
            parse(longest)?,
            parse(flows)?,
        ),
        ["multicast", own, responder, group] => {
            udp::multicast(parse(own)?, parse(responder)?, parse(group)?)
        }
        ["tcp-echo", address, bytes] => tcp::echo(address_of(address)?, parse(bytes)?),
        ["tcp-send", address, bytes] => tcp::send(address_of(address)?, parse(bytes)?),
        ["tcp-receive", address, bytes] => tcp::receive(address_of(address)?, parse(bytes)?),
        _ => Err(USAGE.into()),
    }
}

fn address_of(text: &str) -> Result<IpAddr, String> {
    parse(text)
}

fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text} is not what belongs there\n{USAGE}"))
}

//! UDP echo with embassy-net: async, woken by the interrupts that the driver arms.
//!
//! On the software adapter in this process a second one at the other end of the cable runs a second stack on the same
//! executor, sends datagrams, compares the answers and ends the program.

mod ending;
mod station;

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use embassy_executor::{Executor, Spawner};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Ipv4Address, Stack};
use embassy_time::{Duration, with_timeout};
use example_support::{AdapterArgs, stop_flag};
use static_cell::StaticCell;

use ending::Ending;
use station::Station;

const ECHO: u16 = 7;
const SERVER: Ipv4Address = Ipv4Address::new(192, 168, 77, 1);
const CLIENT: Ipv4Address = Ipv4Address::new(192, 168, 77, 3);

/// Answers UDP datagrams (port 7 of 192.168.77.1).
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Datagrams that the second stack sends, on the software adapter.
    #[arg(long, default_value_t = 500)]
    datagrams: u32,
}

fn main() -> Result<()> {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    static ENDING: StaticCell<Ending> = StaticCell::new();
    let args = Args::parse();
    let stop = stop_flag()?;
    let (server, client) = station::open(&args.adapter)?;
    let stations = 1 + u32::from(client.is_some());
    let ending = ENDING.init(Ending::new(stop, stations));
    EXECUTOR.init(Executor::new()).run(|spawner| {
        if let Err(error) = start(spawner, server, client, args.datagrams, ending) {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
    })
}

fn start(
    spawner: Spawner,
    server: Station,
    client: Option<Station>,
    datagrams: u32,
    ending: &'static Ending,
) -> Result<()> {
    for vector in server.vectors() {
        // An interrupt handler would do this: wake the stack's task, and nothing else.
        let signals = server.signals;
        std::thread::spawn(move || {
            while vector.wait(None).is_ok() {
                signals.wake();
            }
        });
    }
    if let Some(client) = client {
        spawner.spawn(wire(server.wire(), client.wire())?);
        spawner.spawn(visit(client, datagrams, ending)?);
    }
    spawner.spawn(serve(server, ending)?);
    Ok(())
}

/// The adapter's task: sleeps until there is a frame, room, a timer or a change of the link.
#[embassy_executor::task]
async fn serve(station: Station, ending: &'static Ending) {
    let host = station.host.clone();
    let ended = station.run(SERVER, ending, async |stack| echo(stack).await);
    let ended = ended.await.and_then(|()| match host.violations().first() {
        Some(rule) => Err(anyhow!("broken rule: {rule}")),
        None => Ok(()),
    });
    ending.station_is_down("the adapter", ended);
}

/// The visitor's task. When it is done the program ends.
#[embassy_executor::task]
async fn visit(station: Station, datagrams: u32, ending: &'static Ending) {
    let work = async |stack: Stack<'_>| compare(stack, datagrams).await;
    let ended = station.run(CLIENT, ending, work).await;
    ending.stop();
    ending.station_is_down("the visitor's adapter", ended);
}

/// What happens to software adapters when nobody looks: time passes, frames travel, interrupts fire.
#[embassy_executor::task]
async fn wire(mut server: station::WireEnd, mut client: station::WireEnd) {
    loop {
        server.pass();
        client.pass();
        embassy_futures::yield_now().await;
    }
}

macro_rules! socket {
    ($stack:ident, $port:expr => $socket:ident) => {
        let mut notes = ([PacketMetadata::EMPTY; 16], [PacketMetadata::EMPTY; 16]);
        let mut bytes = (vec![0; 1 << 15], vec![0; 1 << 15]);
        let mut $socket = UdpSocket::new(
            $stack,
            &mut notes.0,
            &mut bytes.0,
            &mut notes.1,
            &mut bytes.1,
        );
        let bound = $socket.bind($port);
        bound.map_err(|error| anyhow!("port {}: {error:?}", $port))?;
    };
}

/// Sends every datagram back.
async fn echo(stack: Stack<'_>) -> Result<()> {
    socket!(stack, ECHO => socket);
    println!("{SERVER} answers on port {ECHO}");
    let mut data = vec![0; 1500];
    loop {
        match socket.recv_from(&mut data).await {
            Ok((length, from)) => {
                if let Err(error) = socket.send_to(&data[..length], from).await {
                    eprintln!("no answer to {from:?}: {error:?}");
                }
            }
            Err(error) => eprintln!("{error:?}"),
        }
    }
}

/// Sends and compares.
async fn compare(stack: Stack<'_>, datagrams: u32) -> Result<()> {
    stack.wait_link_up().await;
    socket!(stack, 40_000 => socket);
    let to = IpEndpoint::new(SERVER.into(), ECHO);
    let mut back = vec![0; 1500];
    for number in 0..datagrams {
        let mut data = number.to_be_bytes().to_vec();
        data.resize(4 + number as usize * 37 % 1_397, number as u8);
        let exchange = async {
            let sent = socket.send_to(&data, to).await;
            sent.map_err(|error| anyhow!("datagram {number}: {error:?}"))?;
            let received = socket.recv_from(&mut back).await;
            received.map_err(|error| anyhow!("answer {number}: {error:?}"))
        };
        let answer = with_timeout(Duration::from_secs(10), exchange).await;
        let (length, _) = answer.map_err(|_| anyhow!("answer {number} did not come"))??;
        ensure!(
            back[..length] == data[..],
            "answer {number} is not what was sent"
        );
    }
    println!("{datagrams} datagrams came back unchanged");
    Ok(())
}

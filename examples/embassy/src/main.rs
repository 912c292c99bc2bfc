//! UDP echo with embassy-net: async, woken by the interrupts that the driver arms.
//!
//! On the software adapter in this process a second one at the other end of the cable runs a second stack on the same
//! executor, sends datagrams, compares the answers and ends the program.

mod station;

use std::process::exit;

use anyhow::Result;
use clap::Parser;
use embassy_executor::{Executor, Spawner};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Ipv4Address, Runner, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use example_support::AdapterArgs;
use static_cell::StaticCell;

use station::{Driver, Station};

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
    let args = Args::parse();
    let (server, client) = station::open(&args.adapter)?;
    EXECUTOR.init(Executor::new()).run(|spawner| {
        if let Err(error) = start(spawner, server, client, args.datagrams) {
            eprintln!("{error:#}");
            exit(1);
        }
    })
}

fn start(spawner: Spawner, server: Station, client: Option<Station>, datagrams: u32) -> Result<()> {
    let (stack, runner) = server.stack(SERVER);
    spawner.spawn(run(runner)?);
    spawner.spawn(echo(stack)?);
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
        let (stack, runner) = client.stack(CLIENT);
        spawner.spawn(run(runner)?);
        spawner.spawn(visit(stack, datagrams, server.host.clone())?);
        spawner.spawn(wire(server.wire(), client.wire())?);
        spawner.spawn(control(client)?);
    }
    spawner.spawn(control(server)?);
    Ok(())
}

/// The stack's task: sleeps until there is a frame, room, a timer or a change of the link.
#[embassy_executor::task(pool_size = 2)]
async fn run(mut runner: Runner<'static, Driver>) -> ! {
    runner.run().await
}

/// Tells the stack about the link.
#[embassy_executor::task(pool_size = 2)]
async fn control(mut station: Station) {
    loop {
        if let Err(cause) = station.look_at_the_link() {
            eprintln!("{cause}");
            exit(1);
        }
        Timer::after_millis(20).await;
    }
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
        if let Err(error) = $socket.bind($port) {
            eprintln!("port {}: {error:?}", $port);
            exit(1);
        }
    };
}

#[embassy_executor::task]
async fn echo(stack: Stack<'static>) {
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

/// Sends, compares, and ends the program.
#[embassy_executor::task]
async fn visit(stack: Stack<'static>, datagrams: u32, host: fastlinq_host::AnyHost) {
    stack.wait_link_up().await;
    socket!(stack, 40_000 => socket);
    let to = IpEndpoint::new(SERVER.into(), ECHO);
    let mut back = vec![0; 1500];
    for number in 0..datagrams {
        let mut data = number.to_be_bytes().to_vec();
        data.resize(4 + number as usize * 37 % 1_397, number as u8);
        let exchange = async {
            socket
                .send_to(&data, to)
                .await
                .map_err(|error| format!("{error:?}"))?;
            socket
                .recv_from(&mut back)
                .await
                .map_err(|error| format!("{error:?}"))
        };
        match with_timeout(Duration::from_secs(10), exchange).await {
            Ok(Ok((length, _))) if back[..length] == data[..] => {}
            other => {
                eprintln!("datagram {number}: {other:?}");
                exit(1);
            }
        }
    }
    println!("{datagrams} datagrams came back unchanged");
    for rule in host.violations() {
        eprintln!("broken rule: {rule}");
    }
    exit(i32::from(!host.violations().is_empty()));
}

//! Answers UDP datagrams and pings with smoltcp.
//!
//! On a card, send to it from another machine. On the software adapter in this process a visitor at the other end of the cable
//! sends, counts the answers and ends the program.

mod visitor;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant as Moment;

use anyhow::{Result, anyhow};
use clap::Parser;
use example_support::{AdapterArgs, bring_up, idle, stop_flag};
use fastlinq_net::QueueConfig;
use fastlinq_net::stack::{Phy, RxChecksums, TxChecksums};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

use visitor::EchoVisitor;

/// The classic port for this.
const ECHO: u16 = 7;

/// Answers UDP datagrams (port 7) and pings.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Address of the interface, with its prefix.
    #[arg(long, default_value = "192.168.77.1/24", value_parser = cidr)]
    address: Ipv4Cidr,
    /// Datagrams that the visitor of the software adapter sends.
    #[arg(long, default_value_t = 1_000)]
    datagrams: u32,
}

fn cidr(text: &str) -> Result<Ipv4Cidr, String> {
    text.parse()
        .map_err(|()| format!("{text} is not an address with a prefix, as 10.0.0.5/24 is"))
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let stop = stop_flag()?;
    let host = args.adapter.open()?;
    let firmware = args.adapter.firmware()?;
    let mut visitor = EchoVisitor::join(&args.adapter, &host, args.address, args.datagrams)?;
    let mut running = bring_up(host.clone(), Default::default(), &firmware)?;
    let config = QueueConfig::default();
    let queue = running.queue(&config)?;
    running.go(&host)?;
    if let Some(visitor) = &mut visitor {
        visitor.ready()?;
    }

    // Frames stay where the device has put them; it verifies and fills in the checksums.
    let mut phy = Phy::new(queue, &config)
        .with_checksums(RxChecksums::Device)
        .with_sent_checksums(TxChecksums::Device);
    let mut interface = Interface::new(
        Config::new(EthernetAddress(running.mac).into()),
        &mut phy,
        Instant::ZERO,
    );
    interface.update_ip_addrs(|addresses| {
        // There is room for two.
        let _ = addresses.push(IpCidr::Ipv4(args.address));
    });
    let room = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 256], vec![0; 1 << 18]);
    let mut socket = udp::Socket::new(room(), room());
    socket
        .bind(ECHO)
        .map_err(|error| anyhow!("port {ECHO}: {error}"))?;
    let mut sockets = SocketSet::new(vec![]);
    let handle = sockets.add(socket);
    println!("{} answers on port {ECHO}", args.address.address());

    let begin = Moment::now();
    let mut answered = 0_u64;
    while !stop.load(Ordering::Relaxed) && phy.fault().is_none() {
        let now = Instant::from_micros(begin.elapsed().as_micros() as i64);
        interface.poll(now, &mut phy, &mut sockets);
        let socket = sockets.get_mut::<udp::Socket<'_>>(handle);
        let before = answered;
        while socket.can_recv() && socket.can_send() {
            let (data, from) = socket.recv()?;
            let data = data.to_vec();
            answered += u64::from(socket.send_slice(&data, from.endpoint).is_ok());
        }
        if answered == before {
            idle(&host);
        }
        if let Some(visitor) = &mut visitor {
            if visitor.poll(now)? {
                break;
            }
        }
    }

    let counters = phy.counters();
    println!(
        "{answered} datagrams answered; {} frames in, {} out",
        counters.received, counters.sent
    );
    let fault = phy.fault();
    running.down(vec![phy.into_ring()])?;
    if let Some(visitor) = visitor {
        visitor.leave()?;
    }
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    if let Some(rule) = host.violations().first() {
        println!("broken rule: {rule}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

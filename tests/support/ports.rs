//! Ports that no other test process takes. A block of ports belongs to the process that holds the lock on its file; the
//! blocks lie below the range from which the kernel takes the ports of outgoing connections.

use std::fs::{File, OpenOptions, create_dir_all};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Mutex;

/// Enough for three brokers, whose listeners lie ten ports apart.
pub const BLOCK: u16 = 40;
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 290;

struct Held {
    locks: Vec<File>,
    singles: Range<u16>,
}

static HELD: Mutex<Held> = Mutex::new(Held { locks: Vec::new(), singles: 0..0 });

/// The first of [`BLOCK`] ports on which nothing listens.
pub fn block() -> u16 {
    HELD.lock().expect("no test panics while it takes ports").block()
}

/// One port on which nothing listens.
pub fn one() -> u16 {
    let mut held = HELD.lock().expect("no test panics while it takes ports");
    loop {
        match held.singles.next() {
            Some(port) if is_free(port) => return port,
            Some(_) => {}
            None => {
                let first = held.block();
                held.singles = first..first + BLOCK;
            }
        }
    }
}

impl Held {
    fn block(&mut self) -> u16 {
        let folder = std::env::temp_dir().join("millrace-test-ports");
        create_dir_all(&folder).expect("the temporary folder can be written");
        // Processes that start together should not all try the same blocks.
        let shift = (std::process::id() % u32::from(BLOCKS)) as u16;
        for i in 0..BLOCKS {
            let first = FIRST + (i + shift) % BLOCKS * BLOCK;
            let Ok(file) = OpenOptions::new().create(true).append(true).open(folder.join(first.to_string())) else {
                continue;
            };
            if file.try_lock().is_ok() && (first..first + BLOCK).all(is_free) {
                self.locks.push(file);
                return first;
            }
        }
        panic!("no free block of ports between {FIRST} and {}", FIRST + BLOCKS * BLOCK);
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

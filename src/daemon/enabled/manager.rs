//! Who is connected to which machine: one connection for all syncs that reach it the same way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::control::{HostStatus, Wanted};
use super::host::Host;
use super::log::Log;
use super::master::Master;
use super::runtime_dir::RuntimeDir;
use crate::error::Result;

/// Machines by how they are reached: the remote shell with all its arguments, the host, the program over there.
pub struct Manager {
    hosts: Mutex<HashMap<Wanted, Arc<Host>>>,
    dir: RuntimeDir,
    idle: Duration,
    log: Arc<Log>,
}

/// A use of a connection, until it is dropped.
pub struct Lent(pub Arc<Host>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.end_use();
    }
}

impl Manager {
    /// No connections yet; each may be unused for `idle`.
    pub fn new(dir: RuntimeDir, idle: Duration, log: Arc<Log>) -> Manager {
        Manager { hosts: Mutex::default(), dir, idle, log }
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Wanted, Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine that is wanted, from now on in use.
    ///
    /// # Errors
    /// One that cannot be reached through us.
    pub fn host(self: &Arc<Self>, wanted: &Wanted) -> Result<Lent> {
        let key = Wanted { agent: None, ..wanted.clone() };
        let mut hosts = self.hosts();
        let host = match hosts.entry(key.clone()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(vacant) => {
                // A list of strings of bytes has one JSON and no other has the same.
                let name = serde_json::to_vec(&key).unwrap_or_default();
                let master = Master::new(wanted, self.dir.file_of(&name, "c"))?;
                let host = Arc::new(Host::new(master, self.dir.file_of(&name, "s"), self.idle, self.log.clone()));
                let (manager, tended) = (self.clone(), host.clone());
                tokio::spawn(async move { manager.tend(key, &tended).await });
                vacant.insert(host).clone()
            }
        };
        host.begin_use(wanted);
        Ok(Lent(host))
    }

    async fn tend(&self, key: Wanted, host: &Arc<Host>) {
        loop {
            host.tend().await;
            host.close().await;
            let mut hosts = self.hosts();
            // Whoever has come meanwhile has it in use, and connects anew.
            if host.is_idle() {
                hosts.remove(&key);
                return;
            }
        }
    }

    /// What there is.
    pub fn status(&self) -> Vec<HostStatus> {
        self.hosts().values().map(|host| host.status()).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hosts().is_empty()
    }

    /// Ends all connections.
    pub async fn close(&self) {
        let hosts: Vec<Arc<Host>> = self.hosts().drain().map(|(_, host)| host).collect();
        for host in hosts {
            host.close().await;
        }
    }
}

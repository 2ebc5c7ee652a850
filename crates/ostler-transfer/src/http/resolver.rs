//! Names of hosts, looked up by hickory as `/etc/hosts` and `/etc/resolv.conf` say.
//!
//! A name that `/etc/hosts` has is asked of nobody, also where that has addresses of one kind alone.
//!
//! The C library is not asked: the program is linked statically, and that would load modules of whatever C library the machine has.
//! Where there is no `/etc/resolv.conf`, the server for names is asked that runs on the machine itself, as the C library does; no name is
//! ever told to a server that the system does not know.

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name as HostName, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};

/// Looks names up; reads what the system says when it is first asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolver {
    inner: Arc<OnceLock<System>>,
}

/// What the system says of names.
#[derive(Debug)]
struct System {
    hosts: Hosts,
    servers: TokioResolver,
}

impl Resolver {
    fn get(&self) -> Result<&System, NetError> {
        if let Some(system) = self.inner.get() {
            return Ok(system);
        }
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_unreadable| {
            let here = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![here]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        });
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let system = System {
            // Without the file there are no such names.
            hosts: Hosts::from_system().unwrap_or_default(),
            servers: builder.build()?,
        };
        Ok(self.inner.get_or_init(|| system))
    }
}

impl System {
    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NetError> {
        let here = self.listed(name);
        if !here.is_empty() {
            return Ok(here);
        }
        Ok(self.servers.lookup_ip(name).await?.iter().collect())
    }

    /// Returns the addresses that `/etc/hosts` has for a name.
    fn listed(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = HostName::from_str(name) else {
            return Vec::new();
        };
        let kinds = [RecordType::AAAA, RecordType::A];
        let found = kinds
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind)));
        let records: Vec<_> = found.collect();
        let answers = records.iter().flat_map(Lookup::answers);
        answers.filter_map(|record| record.data.ip_addr()).collect()
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.get()?.look_up(name.as_str()).await?;
            // The port is the URL's.
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

//! Names of hosts, looked up by hickory as `/etc/hosts` and `/etc/resolv.conf` say.
//!
//! Not by the C library: the program is linked statically, and that would load modules of whatever C library the machine has. Where
//! there is no `/etc/resolv.conf`, the server for names is asked that runs on the machine itself, as the C library does; no name is ever
//! told to a server that the system does not know.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

/// Looks names up; reads what the system says when it is first asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolver {
    inner: Arc<OnceLock<TokioResolver>>,
}

impl Resolver {
    fn get(&self) -> Result<&TokioResolver, NetError> {
        if let Some(resolver) = self.inner.get() {
            return Ok(resolver);
        }
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_unreadable| {
            let here = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![here]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        });
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let resolver = builder.build()?;
        Ok(self.inner.get_or_init(|| resolver))
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.get()?.lookup_ip(name.as_str()).await?;
            // The port is the URL's.
            let addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

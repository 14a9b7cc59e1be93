package main

import (
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd listens on unix sockets in the working directory: no TCP ports that could clash. Their names must look
// like a host with a port.
const (
	clientSocket = "etcd-client:1"
	peerSocket   = "etcd-peer:1"
	etcdURL      = "unix://" + clientSocket
)

const etcdStartTimeout = 30 * time.Second

// startEtcd runs a single-member etcd on the data in dir and returns when it serves.
func startEtcd(dir string) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Name = "mapstore"
	cfg.Dir = dir
	cfg.LogLevel = "warn"
	cfg.LogOutputs = []string{"stderr"}

	client := url.URL{Scheme: "unix", Host: clientSocket}
	peer := url.URL{Scheme: "unix", Host: peerSocket}
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	cfg.ListenPeerUrls = []url.URL{peer}
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	// Every write of a map stores a whole new copy of it, and benches write large maps fast: allow much,
	// drop it early, and keep few raft entries (they are held in memory) before a snapshot.
	cfg.QuotaBackendBytes = 8 << 30
	cfg.AutoCompactionMode = embed.CompactorModeRevision
	cfg.AutoCompactionRetention = "2000"
	cfg.SnapshotCount = 500
	cfg.SnapshotCatchUpEntries = 100

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, err
	case <-time.After(etcdStartTimeout):
		etcd.Close()
		return nil, fmt.Errorf("not ready after %s", etcdStartTimeout)
	}
}

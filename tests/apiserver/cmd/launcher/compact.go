package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// etcdSocket is where etcd listens in the server's directory (cmd/apiserver/etcd.go).
const etcdSocket = "etcd-client:1"

// compact makes etcd forget what was before its newest revision. The API server's own compaction does that every
// five minutes with what is older than five.
func compact(ctx context.Context, c *cluster, _ nothing) (answer, error) {
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	// A list tells the revision of the whole store.
	if err := c.admin.get(ctx, "/api/v1/namespaces/default/configmaps?limit=1", &list); err != nil {
		return nil, err
	}
	revision, err := strconv.ParseInt(list.Metadata.ResourceVersion, 10, 64)
	if err != nil {
		return nil, err
	}
	if err := c.compactAt(ctx, revision); err != nil {
		return nil, err
	}
	return answer{"revision": revision}, nil
}

// compactAt asks etcd, by its JSON gateway.
func (c *cluster) compactAt(ctx context.Context, revision int64) error {
	dir, err := os.Open(c.home.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	// A socket's path may have 107 bytes only; this one is short wherever the directory is.
	socket := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), etcdSocket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	body, err := json.Marshal(map[string]any{"revision": revision, "physical": true})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, "POST", "http://etcd/v3/kv/compaction", bytes.NewReader(body))
	if err != nil {
		return err
	}
	got, err := client.Do(request)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(got.Body)
		return fmt.Errorf("etcd: %s: %s", got.Status, why)
	}
	return nil
}

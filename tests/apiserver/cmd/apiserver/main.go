// Command apiserver is the real kube-apiserver with etcd in the same process.
//
// It is started by cmd/launcher, which makes the certificates and tokens it needs. It keeps its data in
// the directory given by --dir, logs to stderr, and exits at once when its stdin reaches EOF: whoever holds
// the other end of that pipe can't be outlived by it, whatever way they end.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// Exit statuses beside those of kube-apiserver itself (0 after SIGTERM, 1 on any error).
const (
	exitUsage    = 2
	exitOrphaned = 3
)

func main() {
	dir := flag.String("dir", "", "directory with tls.crt, tls.key, ca.crt, serviceaccount.key and tokens.csv; etcd's data goes to etcd/ in it")
	port := flag.Int("port", 0, "TCP port to serve on, on 127.0.0.1")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: %s --dir DIR --port PORT [-- FLAGS OF kube-apiserver]\n", os.Args[0])
		flag.PrintDefaults()
	}
	flag.Parse()
	if *dir == "" || *port == 0 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	go exitAtEOF(os.Stdin)
	os.Exit(run(*dir, *port, flag.Args()))
}

// run serves until SIGTERM or SIGINT and returns the exit status.
func run(dir string, port int, extra []string) int {
	// etcd's sockets are named relative to dir: a socket's path may have 107 bytes only.
	if err := os.Chdir(dir); err != nil {
		return failed("enter the data directory", err)
	}
	etcd, err := startEtcd("etcd")
	if err != nil {
		return failed("start etcd", err)
	}
	defer etcd.Close()

	command := app.NewAPIServerCommand()
	command.SetArgs(append(apiServerFlags(port), extra...))
	return cli.Run(command)
}

// apiServerFlags are what a cluster of one API server and nothing else needs. File names are relative to
// the data directory.
func apiServerFlags(port int) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=tls.crt",
		"--tls-private-key-file=tls.key",
		"--cert-dir=" + filepath.Join("etcd", "generated"),
		"--token-auth-file=tokens.csv",
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=serviceaccount.key",
		"--service-account-signing-key-file=serviceaccount.key",
		"--service-cluster-ip-range=10.0.0.0/24",
		// No controller-manager makes the default service accounts that this plugin insists on.
		"--disable-admission-plugins=ServiceAccount",
	}
}

// exitAtEOF ends the process when stdin ends. etcd's write-ahead log is made for such ends.
func exitAtEOF(stdin io.Reader) {
	_, err := io.Copy(io.Discard, stdin)
	if err == nil {
		err = errors.New("stdin reached EOF")
	}
	fmt.Fprintf(os.Stderr, "apiserver: exiting: %v\n", err)
	os.Exit(exitOrphaned)
}

func failed(what string, err error) int {
	fmt.Fprintf(os.Stderr, "apiserver: failed to %s: %v\n", what, err)
	return 1
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// none stands for no request.
const none = "refused"

// world is an API server over https and one over http, a proxy, and what they saw.
type world struct {
	secure, plain, proxy *httptest.Server
	variables            map[string]string

	lock sync.Mutex
	// By the name of the ConfigMap that was asked for.
	seen map[string]string
	// Connections that the proxy made, and what it was shown.
	proxied map[string]string
}

func newWorld() (*world, error) {
	w := &world{seen: map[string]string{}, proxied: map[string]string{}}
	ca, caKey, err := certificate("test authority", nil, nil)
	if err != nil {
		return nil, err
	}
	server, serverKey, err := certificate("127.0.0.1", ca, caKey)
	if err != nil {
		return nil, err
	}
	user, userKey, err := certificate("certified", ca, caKey)
	if err != nil {
		return nil, err
	}
	_, otherKey, err := certificate("other", ca, caKey)
	if err != nil {
		return nil, err
	}
	w.plain = httptest.NewServer(http.HandlerFunc(w.answer))
	w.secure = httptest.NewUnstartedServer(http.HandlerFunc(w.answer))
	w.secure.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
		ClientAuth:   tls.RequestClientCert,
	}
	// A client that minds the certificate is a verdict, not news.
	w.secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.secure.StartTLS()
	w.proxy = httptest.NewServer(http.HandlerFunc(w.pass))
	address := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	w.variables = map[string]string{
		"https": "https://" + address(w.secure), "http": "http://" + address(w.plain),
		"host": address(w.plain), "securehost": address(w.secure), "proxy": address(w.proxy),
		"ca": certPEM(ca), "cert": certPEM(user), "key": keyPEM(userKey), "otherkey": keyPEM(otherKey),
	}
	for _, name := range []string{"ca", "cert", "key", "otherkey"} {
		encoded := base64.StdEncoding.EncodeToString([]byte(w.variables[name]))
		w.variables[name+"64"] = encoded
		w.variables[name+"64lines"] = encoded[:64] + `\n` + encoded[64:]
	}
	return w, nil
}

// fill puts the variables in: ${https} and so on, ${dir}.
func (w *world) fill(folder, text string) string {
	for name, value := range w.variables {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	return strings.ReplaceAll(text, "${dir}", folder)
}

func (w *world) write(folder string, f file) error {
	text := []byte(w.fill(folder, f.text))
	switch f.form {
	case "utf16":
		text = []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(w.fill(folder, f.text))) {
			text = append(text, byte(unit), byte(unit>>8))
		}
	case "raw":
		escaped := strings.ReplaceAll(strings.TrimRight(f.text, "\n"), `"`, `\"`)
		unquoted, err := strconv.Unquote(`"` + escaped + `"`)
		if err != nil {
			return err
		}
		text = []byte(w.fill(folder, unquoted))
	}
	path := filepath.Join(folder, f.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o755)
}

func (w *world) asked(name string) string {
	w.lock.Lock()
	defer w.lock.Unlock()
	if asked := w.seen[name]; asked != "" {
		return asked
	}
	return none
}

const resources = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":[{"name":"configmaps",
	"singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["get","list"],"shortNames":["cm"]}]}`

// answer knows as much of the API as kubectl needs to get a ConfigMap.
func (w *world) answer(out http.ResponseWriter, r *http.Request) {
	out.Header().Set("Content-Type", "application/json")
	path := r.URL.Path
	switch {
	case strings.HasSuffix(path, "/api"):
		fmt.Fprint(out, `{"kind":"APIVersions","versions":["v1"]}`)
	case strings.HasSuffix(path, "/apis"):
		fmt.Fprint(out, `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
	case strings.HasSuffix(path, "/api/v1"):
		fmt.Fprint(out, resources)
	case strings.Contains(path, "/configmaps/"):
		name := path[strings.LastIndex(path, "/")+1:]
		w.record(name, strings.TrimSuffix(path, name), r)
		fmt.Fprintf(out, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":%q,"namespace":"n","uid":"u",`+
			`"resourceVersion":"7"},"data":{"a":"1"}}`, name)
	default:
		http.NotFound(out, r)
	}
}

func (w *world) record(name, path string, r *http.Request) {
	parts := []string{"http", path}
	if r.TLS != nil {
		parts[0] = "https"
		for _, shown := range r.TLS.PeerCertificates {
			parts = append(parts, "certificate "+shown.Subject.CommonName)
		}
	}
	var headers []string
	for header, values := range r.Header {
		if header == "Authorization" || strings.HasPrefix(strings.ToLower(header), "impersonate-") {
			headers = append(headers, strings.ToLower(header)+"="+strings.Join(values, ","))
		}
	}
	sort.Strings(headers)
	w.lock.Lock()
	defer w.lock.Unlock()
	if through, ok := w.proxied[r.RemoteAddr]; ok {
		parts = append(parts, "through the proxy"+through)
	}
	w.seen[name] = strings.Join(append(parts, headers...), " | ")
}

// pass is the proxy.
func (w *world) pass(out http.ResponseWriter, r *http.Request) {
	shown := ""
	if authorization := r.Header.Get("Proxy-Authorization"); authorization != "" {
		shown = " as " + authorization
	}
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, address)
		if err == nil {
			w.lock.Lock()
			w.proxied[conn.LocalAddr().String()] = shown
			w.lock.Unlock()
		}
		return conn, err
	}
	if r.Method != http.MethodConnect {
		transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
		(&httputil.ReverseProxy{Director: func(*http.Request) {}, Transport: transport}).ServeHTTP(out, r)
		return
	}
	to, err := dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	out.WriteHeader(http.StatusOK)
	from, _, err := out.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(to, from); to.Close() }()
	go func() { _, _ = io.Copy(from, to); from.Close() }()
}

func certificate(name string, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"inside.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature,
	}
	if issuer == nil {
		issuer, issuerKey = template, key
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
		template.ExtKeyUsage = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func keyPEM(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

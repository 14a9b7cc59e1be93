package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// The files cmd/apiserver looks for in its directory.
const (
	caFile         = "ca.crt"
	certFile       = "tls.crt"
	keyFile        = "tls.key"
	accountKeyFile = "serviceaccount.key"
)

const certLifetime = 365 * 24 * time.Hour

// ensureKeys makes, at first, a certificate authority, the server's certificate and the key that signs
// ServiceAccount tokens. The authority's own key is forgotten.
func (h *home) ensureKeys() error {
	if _, err := os.Stat(h.path(accountKeyFile)); err == nil {
		return nil
	}
	if err := h.writeServingCert(); err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	return h.writeKey(accountKeyFile, key)
}

func (h *home) writeServingCert() error {
	caKey, err := newKey()
	if err != nil {
		return err
	}
	ca := template("mapstore test CA")
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return err
	}

	key, err := newKey()
	if err != nil {
		return err
	}
	leaf := template("kube-apiserver")
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames = []string{"localhost", "kubernetes.default.svc", "kubernetes"}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}

	if err := h.writePEM(caFile, "CERTIFICATE", caDER); err != nil {
		return err
	}
	if err := h.writePEM(certFile, "CERTIFICATE", leafDER); err != nil {
		return err
	}
	return h.writeKey(keyFile, key)
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certLifetime),
	}
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// writeKey writes SEC 1 form: the only one in which the server takes a private EC key for verifying tokens.
func (h *home) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return h.writePEM(name, "EC PRIVATE KEY", der)
}

func (h *home) writePEM(name, kind string, der []byte) error {
	return os.WriteFile(h.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

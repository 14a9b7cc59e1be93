#!/bin/sh
# Makes the certificates that the tests of tls.rs look at, valid for a hundred years: the kinds that Go and webpki see
# differently, which rcgen can't make. Run by hand, where OpenSSL 3 is; no key is kept.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
names='subjectAltName=DNS:localhost,IP:127.0.0.1'

key() { # name algorithm options…
  name=$1; shift
  openssl genpkey -quiet -out "$folder/$name.key" -algorithm "$@"
}
own() { # name subject options…: signed by itself
  name=$1; subject=$2; shift 2
  openssl req -x509 -key "$folder/$name.key" -subj "/CN=$subject" -days 36500 -out "$name.pem" "$@"
}
signed() { # name authority extensions options…: signed by the authority
  name=$1; authority=$2; extensions=$3; shift 3
  printf '%s\n' "$extensions" > "$folder/extensions"
  openssl req -new -key "$folder/$name.key" -subj "/CN=$name" -out "$folder/$name.csr"
  openssl x509 -req -in "$folder/$name.csr" -CA "$authority.pem" -CAkey "$folder/$authority.key" -days 36500 \
    -extfile "$folder/extensions" -out "$name.pem" "$@" 2>/dev/null
}
p256='EC -pkeyopt ec_paramgen_curve:P-256'
p521='EC -pkeyopt ec_paramgen_curve:P-521'
leaf="$names
basicConstraints=CA:FALSE"

key self $p256; own self localhost -addext "$names"
key nameless $p256; own nameless localhost
key rsa1024 RSA -pkeyopt rsa_keygen_bits:1024; own rsa1024 localhost -addext "$names"
key p521 $p521; own p521 localhost -addext "$names"
key root RSA -pkeyopt rsa_keygen_bits:2048; own root root
key leaf $p256; signed leaf root "$leaf"
key leaf-as-ca $p256; signed leaf-as-ca root "$names
basicConstraints=critical,CA:TRUE"
key leaf-sha1 $p256; signed leaf-sha1 root "$leaf" -sha1
key root-rsa1024 RSA -pkeyopt rsa_keygen_bits:1024; own root-rsa1024 root-rsa1024
key leaf-of-rsa1024 $p256; signed leaf-of-rsa1024 root-rsa1024 "$leaf"
key root-p521 $p521; own root-p521 root-p521
key leaf-of-p521 $p256; signed leaf-of-p521 root-p521 "$leaf"
key root-v1 $p256
openssl req -new -key "$folder/root-v1.key" -subj /CN=root-v1 -out "$folder/root-v1.csr"
openssl x509 -req -in "$folder/root-v1.csr" -signkey "$folder/root-v1.key" -days 36500 -out root-v1.pem 2>/dev/null
key leaf-of-v1 $p256; signed leaf-of-v1 root-v1 "$leaf"

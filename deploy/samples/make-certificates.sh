#!/usr/bin/env bash
# Makes the certificates.yaml of each sample anew: a CA, servers and a client for demonstration, valid for 100 years.
# Their keys lie in the repository for all to read: never trust this CA anywhere else.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
days=36500

ca() {  # ca NAME: NAME.crt, NAME.key
  openssl req -x509 -newkey rsa:2048 -nodes -days $days -subj "/O=example Inc./CN=$1" \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout "$work/$1.key" -out "$work/$1.crt" 2> /dev/null
}

leaf() {  # leaf CA NAME [SAN]
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$2/O=some organization" \
    -keyout "$work/$2.key" -out "$work/$2.csr" 2> /dev/null
  printf 'subjectAltName=%s\nkeyUsage=digitalSignature\n' "${3:-DNS:$2}" > "$work/$2.ext"
  openssl x509 -req -days $days -in "$work/$2.csr" -CA "$work/$1.crt" -CAkey "$work/$1.key" -CAcreateserial \
    -extfile "$work/$2.ext" -out "$work/$2.crt" 2> /dev/null
}

object() {  # object KIND NAMESPACE NAME KEY=FILE...
  printf -- '---\napiVersion: v1\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\n%s:\n' "$1" "$3" "$2" \
    "$([ "$1" = Secret ] && echo stringData || echo data)"
  local pair
  for pair in "${@:4}"; do
    printf '  %s: |\n' "${pair%%=*}"
    sed 's/^/    /' "$work/${pair#*=}"
  done
}

heading='# Made by make-certificates.sh: keys that everyone knows, for demonstration only.'

ca example.com
nginx=my-nginx.mesh-external.svc.cluster.local
leaf example.com $nginx
leaf example.com client.example.com
{
  echo "$heading"
  object Secret mesh-external nginx-server-certs tls.crt=$nginx.crt tls.key=$nginx.key
  object Secret mesh-external nginx-ca-certs example.com.crt=example.com.crt
  object Secret default client-credential \
    tls.crt=client.example.com.crt tls.key=client.example.com.key ca.crt=example.com.crt
} > egress-mtls/certificates.yaml

ca outside-ca
leaf outside-ca edition.cnn.com 'DNS:edition.cnn.com,DNS:cnn.com'
leaf outside-ca unlisted.example.net
{
  echo "$heading"
  object Secret outside edition-certs tls.crt=edition.cnn.com.crt tls.key=edition.cnn.com.key
  object Secret outside unlisted-certs tls.crt=unlisted.example.net.crt tls.key=unlisted.example.net.key
  object ConfigMap default outside-ca ca.crt=outside-ca.crt
} > egress-plain/certificates.yaml

# Istio's plug-in CA: the root alone has signed the CA that signs the workloads.
ca mesh-root
openssl req -newkey rsa:2048 -nodes -subj '/O=example Inc./CN=mesh-ca' -keyout "$work/mesh-ca.key" -out "$work/mesh-ca.csr" 2> /dev/null
printf 'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n' > "$work/mesh-ca.ext"
openssl x509 -req -days $days -in "$work/mesh-ca.csr" -CA "$work/mesh-root.crt" -CAkey "$work/mesh-root.key" -CAcreateserial \
  -extfile "$work/mesh-ca.ext" -out "$work/mesh-ca.crt" 2> /dev/null
cat "$work/mesh-ca.crt" "$work/mesh-root.crt" > "$work/mesh-chain.crt"
{
  echo "$heading"
  object Secret istio-system cacerts ca-cert.pem=mesh-ca.crt ca-key.pem=mesh-ca.key cert-chain.pem=mesh-chain.crt \
    root-cert.pem=mesh-root.crt
  object ConfigMap default istio-ca-root-cert root-cert.pem=mesh-root.crt
} > mesh/certificates.yaml

{
  echo "$heading"
  object Secret istio-system cacerts ca-cert.pem=mesh-ca.crt ca-key.pem=mesh-ca.key cert-chain.pem=mesh-chain.crt \
    root-cert.pem=mesh-root.crt
  for namespace in default istio-system; do
    object ConfigMap $namespace istio-ca-root-cert root-cert.pem=mesh-root.crt
    object ConfigMap $namespace outside-ca ca.crt=outside-ca.crt
  done
  object Secret outside edition-certs tls.crt=edition.cnn.com.crt tls.key=edition.cnn.com.key
  object Secret outside unlisted-certs tls.crt=unlisted.example.net.crt tls.key=unlisted.example.net.key
} > egress-gateway/certificates.yaml

# What ingress gateways serve. The gateway's Secrets are in its own namespace.
ca webapp-ca
ca catalog-ca
leaf webapp-ca webapp.istioinaction.io
leaf catalog-ca catalog.istioinaction.io
webapp() {
  object Secret istio-system webapp-credential tls.crt=webapp.istioinaction.io.crt tls.key=webapp.istioinaction.io.key
}
{
  echo "$heading"
  webapp
  object ConfigMap default ingress-ca ca.crt=webapp-ca.crt
} > ingress-simple/certificates.yaml
{
  echo "$heading"
  webapp
  object Secret istio-system catalog-credential \
    tls.crt=catalog.istioinaction.io.crt tls.key=catalog.istioinaction.io.key
  object ConfigMap default ingress-ca webapp.crt=webapp-ca.crt catalog.crt=catalog-ca.crt
} > ingress-many-certs/certificates.yaml

ca backend-ca
leaf backend-ca simple-sni-1.istioinaction.io
{
  echo "$heading"
  object Secret default simple-tls-service-1-certs \
    tls.crt=simple-sni-1.istioinaction.io.crt tls.key=simple-sni-1.istioinaction.io.key
  object ConfigMap default ingress-ca ca.crt=backend-ca.crt
} > ingress-sni-passthrough/certificates.yaml

ca gateway-ca
leaf gateway-ca danielstechblog.de 'DNS:*.danielstechblog.de'
leaf backend-ca nginx.tls.danielstechblog.de
{
  echo "$heading"
  object Secret istio-system istio-ingress-cert tls.crt=danielstechblog.de.crt tls.key=danielstechblog.de.key
  object Secret nginx my-nginx-certs tls.crt=nginx.tls.danielstechblog.de.crt tls.key=nginx.tls.danielstechblog.de.key
  object ConfigMap default ingress-ca gateway.crt=gateway-ca.crt backend.crt=backend-ca.crt
} > ingress-terminate-and-passthrough/certificates.yaml

# Two hosts, each with clients of its own (generic Secrets: key, cert, cacert).
{
  echo "$heading"
  for host in frontend inventory; do
    ca $host-ca
    leaf $host-ca $host.foocorp.com
    leaf $host-ca client.$host.foocorp.com
    object Secret istio-system $host-credential \
      cert=$host.foocorp.com.crt key=$host.foocorp.com.key cacert=$host-ca.crt
    object Secret default $host-client \
      tls.crt=client.$host.foocorp.com.crt tls.key=client.$host.foocorp.com.key ca.crt=$host-ca.crt
  done
} > ingress-mutual/certificates.yaml

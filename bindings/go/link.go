//go:build cgo && !mapstore_static

package mapstore

// If this fails: install the library (make install), or say where it is, with
// PKG_CONFIG_PATH=PREFIX/lib/pkgconfig.

// #cgo pkg-config: mapstore
import "C"

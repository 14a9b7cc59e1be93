//go:build !cgo

package mapstore

// mapstore is a C library with a Go package around it: build with
// CGO_ENABLED=1, a C compiler on the PATH and the library installed.
var _ = mapstore_needs_cgo_SET_CGO_ENABLED_1_AND_INSTALL_A_C_COMPILER

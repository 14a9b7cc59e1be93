package mapstore

// #include "bridge.h"
import "C"

import "unsafe"

// nothing has an address, for texts and values without bytes.
var nothing byte

func textOf(text string) (*C.char, C.size_t) {
	if len(text) == 0 {
		return (*C.char)(unsafe.Pointer(&nothing)), 0
	}
	return (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text))
}

// bytesOf gives no unsafe.Pointer: of one, cgo checks the whole object that the
// bytes lie in, and panics if that holds a pointer anywhere.
func bytesOf(value []byte) (*C.uchar, C.size_t) {
	if len(value) == 0 {
		return (*C.uchar)(&nothing), 0
	}
	return (*C.uchar)(unsafe.SliceData(value)), C.size_t(len(value))
}

// optional: nil stands for a missing key.
func optional(value []byte) (*C.uchar, C.size_t) {
	if value == nil {
		return nil, C.MAPSTORE_ABSENT
	}
	return bytesOf(value)
}

// copied bytes of C's memory. C.GoBytes takes a length of 32 bits only.
func copied(data unsafe.Pointer, length C.size_t) []byte {
	value := make([]byte, int(length))
	copy(value, unsafe.Slice((*byte)(data), int(length)))
	return value
}

func textFrom(data *C.char, length C.size_t) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(data)), int(length)))
}

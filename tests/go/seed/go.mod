module seed-program

go 1.25

require github.com/unrolled/mapstore v1.3.0

replace github.com/unrolled/mapstore => ../../../bindings/go

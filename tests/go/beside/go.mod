module beside

go 1.25

require mapstore v0.0.0

replace mapstore => ../../../bindings/go

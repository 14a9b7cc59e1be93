module worker

go 1.25

require (
	bench/measure v0.0.0
	mapstore v0.0.0
)

replace (
	bench/measure => ../measure
	mapstore => ../../../bindings/go
)

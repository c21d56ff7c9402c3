module concert/examples

go 1.26.0

require (
	concert v0.0.0
	go.starlark.net v0.0.0-20260908191801-89a6a09411d5
)

require golang.org/x/term v0.47.0 // indirect

require (
	github.com/elastic/go-seccomp-bpf v1.6.0 // indirect
	github.com/fxamacker/cbor/v2 v2.9.6 // indirect
	github.com/landlock-lsm/go-landlock v0.11.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/image v0.47.0
	golang.org/x/net v0.41.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	kernel.org/pub/linux/libs/security/libcap/psx v1.2.77 // indirect
)

replace concert => ../

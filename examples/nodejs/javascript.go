package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"

	"concert"
	"concert/executor"
	"concert/processes"
)

//go:embed *.js
var scripts embed.FS

// Func returns a Go function for a function in JavaScript. Submit the Go
// function to a pool that the function open has returned.
func Func[In, Out any](name string) func(context.Context, In) (Out, error) {
	return executor.Declare[In, Out](name, jsonText{})
}

// Error is an error that a function in JavaScript has thrown.
type Error struct{ Name, Message, Stack string }

// Error returns the name and the message.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

func init() { concert.RegisterErrorType[*Error]("javascript.Error") }

// jsonText is the codec for values that are not numbers, texts or arrays of
// numbers.
type jsonText struct{}

// Encode implements [executor.Codec].
func (jsonText) Encode(v any) ([]byte, error) { return json.Marshal(v) }

// Decode implements [executor.Codec]. A plain value must fit into the type of
// v.
func (jsonText) Decode(result executor.Encoded, v any) error {
	if result.Foreign() {
		return json.Unmarshal(result.Bytes, v)
	}
	plain, err := result.Plain() // JavaScript has one type of numbers, so the number 3 arrives as an int64, even if v is a *float64
	if err != nil {
		return err
	}
	from, to := reflect.ValueOf(plain), reflect.ValueOf(v).Elem()
	switch {
	case !from.IsValid():
		to.SetZero()
		return nil
	case from.Type().AssignableTo(to.Type()):
		to.Set(from)
		return nil
	case from.CanInt() && to.CanFloat():
		to.SetFloat(float64(from.Int()))
		return nil
	case from.CanInt() && to.CanInt() && !to.OverflowInt(from.Int()):
		to.SetInt(from.Int())
		return nil
	case from.CanInt() && to.CanUint() && from.Int() >= 0 && !to.OverflowUint(uint64(from.Int())):
		to.SetUint(uint64(from.Int()))
		return nil
	}
	return fmt.Errorf("%T %v does not fit into %T", plain, plain, to.Interface())
}

// open starts n processes of Node.js, each with the given number of threads.
// The parameter functions is the name of the script with the functions. The
// returned function closes the pool, and removes the files of the scripts.
func open(n, threads int, functions string) (ex *processes.Pool, closed func() error, err error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, nil, fmt.Errorf("no Node.js: %w", err)
	}
	dir, err := os.MkdirTemp("", "concert-node-")
	if err != nil {
		return nil, nil, err
	}
	if err = os.CopyFS(dir, scripts); err == nil {
		ex, err = processes.New(n, &processes.Options{
			Command: []string{node, filepath.Join(dir, "worker.js"), filepath.Join(dir, functions)},
			Threads: threads,
		})
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return ex, func() error {
		err := ex.Close()
		if gone := os.RemoveAll(dir); err == nil {
			err = gone
		}
		return err
	}, nil
}

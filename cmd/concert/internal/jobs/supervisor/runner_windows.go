package supervisor

import (
	"context"
	"errors"
)

var errWindows = errors.New("commands cannot be supervised on Windows: the command map needs a Unix system")

// Main does nothing.
func Main() {}

// A Supervisor runs jobs, on Unix systems.
type Supervisor struct{}

// Start returns an error.
func Start(*Options) (*Supervisor, error) { return nil, errWindows }

// Run returns an error.
func (*Supervisor) Run(context.Context, Job) (Result, error) { return Result{}, errWindows }

// Hold does nothing.
func (*Supervisor) Hold() {}

// Close does nothing.
func (*Supervisor) Close() error { return nil }

// Pause does nothing.
func (*Supervisor) Pause() {}

// Resume does nothing.
func (*Supervisor) Resume() {}

// Command concert runs work concurrently and measures the gain.
//
//	concert choose      measure how to run your work concurrently
//	concert get         download many files at once, completely and verified
//	concert map         run a command, or a Python function, for many inputs
//	concert status      list the workers, waiting tasks and dead letters of a cluster
//	concert tour        run and measure the ideas of the guide on this machine
//	concert worker      run Python functions for a cluster
//	concert version     print the version
//	concert completion  print a script that completes command lines in your shell
//	concert help        list the commands
//
// The subcommands are in packages of their own. Package cli has the code that
// they share.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"concert/cmd/concert/internal/choose"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/cluster"
	"concert/cmd/concert/internal/get"
	"concert/cmd/concert/internal/jobs"
	"concert/cmd/concert/internal/jobs/supervisor"
	"concert/cmd/concert/internal/tour"
	"concert/processes"
)

func commands() []cli.Command {
	all := []cli.Command{
		choose.Command,
		get.Command,
		jobs.Command,
		cluster.Status,
		tour.Command,
		cluster.Worker,
		versionCommand,
	}
	return append(all, cli.Completion(all))
}

func main() {
	supervisor.Main() // does not return in a supervisor, which map starts
	processes.Main()  // does not return in a worker process, which the tour and choose start
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup, the signal is ignored
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, _ := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, func() { // a second signal ends the program at once
		second := make(chan os.Signal, 1)
		signal.Notify(second, signals...)
		<-second
		cli.RunCleanups()
		os.Exit(cli.ExitSignal)
	})
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs a command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	return cli.Main(ctx, commands(), args, out, errOut)
}

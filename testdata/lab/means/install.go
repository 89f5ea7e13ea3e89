package means

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Installer gets what is missing.
type Installer struct {
	Cache  string    // see CacheDir
	Source string    // folder of the lab's module
	Log    io.Writer // what the package manager and the compiler say
}

// Install gets the missing programs, and returns an error for those it could
// not get. What is there already costs nothing.
func (in Installer) Install(ctx context.Context, programs []Program, progress func(string)) error {
	var packages, extras []string
	var others []Program // after the packages, some of which they need
	var failed []error
	for _, p := range programs {
		switch {
		case p.Path != "":
		case p.Debian != "" && p.Optional != "":
			extras = append(extras, p.Debian)
		case p.Debian != "":
			packages = append(packages, p.Debian)
		default:
			others = append(others, p)
		}
	}
	slices.Sort(packages)
	// by themselves: one that a distribution lacks must not keep the others out
	for _, list := range [][]string{slices.Compact(packages), extras} {
		if len(list) > 0 {
			progress(fmt.Sprintf("installing %v", list))
			failed = append(failed, in.installPackages(ctx, list))
		}
	}
	for _, p := range others {
		failed = append(failed, in.get(ctx, p.Name, progress))
	}
	return errors.Join(failed...)
}

// get what no distribution has.
func (in Installer) get(ctx context.Context, name string, progress func(string)) error {
	switch name {
	case "postgres-18":
		return in.installPostgres18(ctx, progress)
	case "otel-js":
		return in.installOTelJS(ctx, progress)
	}
	return in.build(ctx, name, progress)
}

// build compiles one program into the cache. It is built beside its place and
// moved there, so that an interrupted build leaves nothing that looks whole.
func (in Installer) build(ctx context.Context, name string, progress func(string)) error {
	if err := os.MkdirAll(in.Cache, 0o755); err != nil {
		return fmt.Errorf("create cache: %w", err)
	}
	scratch, err := os.MkdirTemp(in.Cache, "build-")
	if err != nil {
		return fmt.Errorf("create build folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	command := in.compiler(ctx, name, scratch)
	stop := tick(progress, "building "+name)
	err = command.Run()
	stop()
	if err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	return os.Rename(filepath.Join(scratch, name), built(in.Cache, name))
}

func (in Installer) compiler(ctx context.Context, name, scratch string) *exec.Cmd {
	source := sources[name]
	if source.install {
		command := exec.CommandContext(ctx, "go", "install", source.path+"@v"+source.version)
		command.Env = append(os.Environ(), "GOBIN="+scratch)
		command.Stdout, command.Stderr = in.Log, in.Log
		return command
	}
	args := append([]string{"build", "-o", filepath.Join(scratch, name)}, source.flags...)
	command := exec.CommandContext(ctx, "go", append(args, source.path)...)
	command.Dir = filepath.Join(in.Source, "tools", name)
	command.Stdout, command.Stderr = in.Log, in.Log
	return command
}

// tick reports that something long is still going on, until stopped.
func tick(progress func(string), what string) (stop func()) {
	done, start := make(chan struct{}), time.Now()
	progress(what)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(15 * time.Second):
				progress(fmt.Sprintf("%s, %d s so far", what, int(time.Since(start).Seconds())))
			}
		}
	}()
	return func() { close(done) }
}

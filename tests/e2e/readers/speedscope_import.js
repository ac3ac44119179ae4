// SPDX-License-Identifier: BSD-3-Clause
// speedscope_import.js RELEASE_FOLDER FILE: read a profile with speedscope's own importer, without
// its screen, and print as JSON what it understood: of each profile its name, unit, total and the
// self and total weight of each frame. The npm package has the importer only inside of the page's
// script, so that script is run with the little of a browser that it touches when it starts.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [folder, file] = process.argv.slice(2);
const name = fs.readdirSync(folder).find((entry) => /^speedscope-.*\.js$/.test(entry));
const script = fs.readFileSync(path.join(folder, name), "utf8");
const importer = /this\.loadProfile\(\(\)=>(\w+)\(\w+,\w+\)\)/.exec(script);
const start = script.lastIndexOf("console.log(`speedscope v");
if (!importer || start < 0)
    throw new Error("this is another speedscope than the one that this knows");

// Anything, however it is used.
const anything = new Proxy(function () {}, {
    get: (target, key) => (key === Symbol.toPrimitive ? () => "" : anything),
    apply: () => anything,
    construct: () => anything,
    set: () => true,
});
const page = {
    console: { ...console, log: console.error }, setTimeout, clearTimeout, TextDecoder, TextEncoder, performance, URL, Uint8Array,
    ArrayBuffer, atob, document: anything, localStorage: anything, navigator: anything,
    location: { hash: "", protocol: "file:" }, matchMedia: () => anything,
    requestAnimationFrame: () => 0, addEventListener: () => {},
};
page.window = page.self = page.globalThis = page;
vm.createContext(page);
vm.runInContext(
    `${script.slice(0, start)}globalThis.importProfile=${importer[1]};})();`, page);

function describe(profile) {
    const frames = [];
    profile.forEachFrame((frame) => frames.push({
        name: frame.name, file: frame.file, line: frame.line,
        self: frame.getSelfWeight(), total: frame.getTotalWeight(),
    }));
    return {
        name: profile.getName(), unit: profile.getWeightUnit(), total: profile.getTotalWeight(),
        frames,
    };
}

page.importProfile(path.basename(file), fs.readFileSync(file).toString("base64")).then((group) => {
    if (!group)
        throw new Error("speedscope does not know what this is");
    console.log(JSON.stringify({ name: group.name, profiles: group.profiles.map(describe) }));
}).catch((error) => {
    console.error(error);
    process.exit(1);
});

"use strict";
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/api/docs/openapi.json", // in the words that this version of Swagger UI reads
    dom_id: "#swagger",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    filter: true,
    persistAuthorization: false, // a token is not left behind in the browser
    presets: [window.SwaggerUIBundle.presets.apis],
    tryItOutEnabled: true,
    validatorUrl: null, // the badge would ask another host
  });
});
